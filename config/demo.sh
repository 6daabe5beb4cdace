#!/usr/bin/env bash
# A server to try: config/demo.sh [nginx|apache], after `make`.
#
# Runs it and coturn, with the configurations of this folder, until Ctrl-C
# or SIGTERM; then nothing of them is left.  All that they write stands in two
# folders that are removed, and they use none of the system's configuration.
#
#   HTTPS_PORT (8443), TURN_PORT (3478), TURNS_PORT (5349)
#   DEMO_HOST  name or address of this machine for other machines' browsers;
#              localhost: TURN for this machine only

set -euo pipefail

server=${1:-nginx}
https=${HTTPS_PORT:-8443}
turn=${TURN_PORT:-3478}
turns=${TURNS_PORT:-5349}
host=${DEMO_HOST:-localhost}
top=$(cd "$(dirname "$0")/.." && pwd)
folder= # html, configuration, certificate, secret, logs
shared= # the memory that the server's workers share
addresses=() # of $host
children=() # each leads a process group of its own

main() {
    [[ $server == nginx || $server == apache ]] ||
        fail "there is no demo with \"$server\": try nginx or apache"
    PATH=$PATH:/usr/sbin:/sbin
    check_settings
    trap stop EXIT
    trap 'exit 0' INT TERM HUP
    make_folder
    make_certificate
    render_coturn
    start_"$server"
    start_coturn
    await "$server" page_answers
    await coturn stun_answers
    echo "https://$host:$https/webrtc/"
    echo "(the certificate is made up, so the browser warns; Ctrl-C stops)"
    watch
}

fail() {
    echo "demo: $*" >&2
    exit 1
}

# All before anything is started: a port in use, a number that is none.
check_settings() {
    local name port used=' '
    [[ $host =~ ^[A-Za-z0-9.-]+$ ]] ||
        fail "DEMO_HOST=$host is neither a name nor an IPv4 address"
    for name in HTTPS_PORT=$https TURN_PORT=$turn TURNS_PORT=$turns; do
        port=${name#*=}
        [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] ||
            fail "$name is no port number"
        [[ $used != *" $port "* ]] || fail "$name is given twice"
        used+="$port "
        [ -z "$(ss -Hlntu "sport = :$port")" ] ||
            fail "port $port is in use: set ${name%=*} to another one"
    done
    own_addresses
    [ ${#addresses[@]} -gt 0 ] ||
        fail "DEMO_HOST=$host is no address of this machine"
}

# The addresses of $host that this machine has.
own_addresses() {
    local address has
    has=$(ip -o address)
    for address in $(getent ahosts "$host" | cut -d ' ' -f 1 | sort -u); do
        if [[ $has == *" $address/"* ]]; then
            addresses+=("$address")
        fi
    done
}

# The workers have to reach html, which may stand under /root: a copy.
make_folder() {
    umask 022
    folder=$(mktemp -d "${TMPDIR:-/tmp}/webrtc-signal-demo.XXXXXX")
    shared=$(mktemp -d /dev/shm/webrtc-signal-demo.XXXXXX)
    chmod 711 "$folder" "$shared"
    mkdir "$folder/config" "$folder/run" "$folder/turn"
    chmod 711 "$folder/turn"
    cp -R "$top/html" "$folder/html"
    chmod -R a+rX "$folder/html"
    ln -s "$top/build" "$folder/build"
}

make_certificate() {
    local names=DNS:localhost,IP:127.0.0.1,IP:::1,DNS:$HOSTNAME
    if [[ $host =~ ^[0-9.]+$ ]]; then
        names+=",IP:$host"
    else
        names+=",DNS:$host"
    fi
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -days 30 -subj /CN=localhost -addext "subjectAltName=$names" \
        -addext basicConstraints=CA:FALSE \
        -keyout "$folder/run/key.pem" -out "$folder/run/cert.pem" \
        2>"$folder/run/openssl.log" || fail "$(cat "$folder/run/openssl.log")"
}

# As on a server (README, TURN): the template, a copy of the certificate that
# coturn can read, and what is allowed beyond the template.  Here that is to
# relay to coturn's own addresses, for two sides that are both relayed.  The
# files are coturn's; their folder, to which root writes, is not.
render_coturn() {
    local conf=$folder/turn/turnserver.conf address
    local options=(--realm "$host" --secret-file "$folder/run/turn.secret"
        --cert "$folder/turn/cert.pem" --key "$folder/turn/key.pem"
        --port "$turn" --tls-port "$turns")
    for address in "${addresses[@]}"; do
        options+=(--listening-ip "$address" --allow-peer "$address")
    done
    cp "$folder"/run/{cert,key}.pem "$folder/turn"
    if [ "$(id -u)" = 0 ]; then
        chown turnserver: "$folder"/turn/{cert,key}.pem
    fi
    "$top/config/turnserver.sh" "${options[@]}" "$conf" \
        >"$folder/run/render.out" || fail "there is no coturn without that"
    if [[ " ${addresses[*]}" == *" 127."* ]]; then
        echo allow-loopback-peers >>"$conf"
    fi
}

start_nginx() {
    local edit=(
        -e "s|listen 8443|listen $https|"
        -e "s|listen \[::\]:8443|listen [::]:$https|"
        -e "s|:localhost:3478|:$host:$turn|"
        -e "s|:localhost:5349|:$host:$turns|"
        -e "s|#webrtc_signal_zone .*|webrtc_signal_zone $shared/zone 16m;|"
    )
    [ -e /proc/net/if_inet6 ] || edit+=(-e '/listen \[::\]/d')
    sed "${edit[@]}" "$top/config/nginx.conf" >"$folder/config/nginx.conf"
    start nginx nginx -p "$folder" -c config/nginx.conf -g 'daemon off;'
}

start_apache() {
    local edit=(
        -e "s|^Listen 8443|Listen $https|"
        -e "s|\*:8443|*:$https|"
        -e "s|:localhost:3478|:$host:$turn|"
        -e "s|:localhost:5349|:$host:$turns|"
        -e "s|#WebrtcSignalZone .*|WebrtcSignalZone $shared/zone 16m|"
    )
    sed "${edit[@]}" "$top/config/httpd.conf" >"$folder/config/httpd.conf"
    start apache apache2 -d "$folder" -f config/httpd.conf -DFOREGROUND
}

start_coturn() {
    local command=(turnserver -c "$folder/turn/turnserver.conf" --pidfile=)
    if [ "$(id -u)" = 0 ]; then
        command=(setpriv --reuid=turnserver --regid=turnserver --init-groups --
            "${command[@]}")
    fi
    start turnserver "${command[@]}"
}

# The name of its output, and the command.
start() {
    set -m
    "${@:2}" >"$folder/run/$1.out" 2>&1 </dev/null &
    children+=($!)
    set +m
}

# Wait until the server named $1 answers, as $2 sees it.
await() {
    local end=$((SECONDS + 15))
    while [ "$SECONDS" -lt "$end" ]; do
        all_alive || died
        if "$2"; then
            return
        fi
        sleep 0.1
    done
    tell
    fail "$1 does not answer"
}

page_answers() {
    local answer
    answer=$(printf 'GET /webrtc/ HTTP/1.0\r\nHost: localhost\r\n\r\n' |
        timeout 2 openssl s_client -quiet -connect "localhost:$https" \
        2>/dev/null) && [[ $answer == "HTTP/1.1 200 "* ]]
}

stun_answers() {
    local address answer
    for address in "${addresses[@]}"; do
        answer=$(timeout 2 turnutils_stunclient -p "$turn" "$address" 2>&1) &&
            [[ $answer == *"reflexive addr"* ]] || return
    done
}

all_alive() {
    local child
    for child in "${children[@]}"; do
        kill -0 "$child" 2>/dev/null || return
    done
}

watch() {
    wait -n "${children[@]}" || true
    died
}

died() {
    tell
    fail "one of $server and coturn stopped by itself"
}

# The last words of both, which would be gone with the folder.
tell() {
    tail -n 8 "$folder"/run/{*.out,error.log} >&2 2>/dev/null || true
}

# Whole groups, since workers outlive a master that was killed.
stop() {
    local code=$? end=$((SECONDS + 5))
    trap '' INT TERM HUP
    signal TERM || true
    while signal 0 && [ "$SECONDS" -lt "$end" ]; do
        sleep 0.05
    done
    signal KILL || true
    rm -rf ${folder:+"$folder"} ${shared:+"$shared"}
    exit "$code"
}

# To all that is left; false if nothing is.
signal() {
    local child any=1
    for child in "${children[@]}"; do
        if kill -"$1" -- "-$child" 2>/dev/null; then
            any=0
        fi
    done
    return "$any"
}

main "$@"
