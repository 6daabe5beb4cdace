#include "wsig.h"

const char *
wsig_strerror(int code)
{
    switch (code) {
    case WSIG_OK:
        return "no error";
    case WSIG_AGAIN:
        return "would block";
    case WSIG_ERROR:
        return "system call or connection failed";
    case WSIG_NOMEM:
        return "out of memory";
    case WSIG_FULL:
        return "shared table is full";
    case WSIG_INVALID:
        return "not of the required form";
    case WSIG_TAKEN:
        return "name is taken";
    case WSIG_ABSENT:
        return "no such user, peer or call";
    case WSIG_FORBIDDEN:
        return "not allowed";
    default:
        return "unknown error";
    }
}
