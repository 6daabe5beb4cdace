#!/usr/bin/env bash
# Renders turnserver.conf, the template beside it, for one host: see usage.
#
# The result holds secrets.  So they pass through files of mode 0600 and the
# shell's own commands only, never through arguments or the environment of
# others, and all is checked before anything is written.

set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin

me=turnserver.sh
mark="# For this host, by $me"
given=("$@")
realm= secret_file= cert= key= external_ip= file=
user= uid= gid=
template=$(cd "$(dirname "$0")" && pwd)/turnserver.conf
port=3478
tls_port=5349
listening_ips=()
allowed_peers=()
secrets=()
lines=() # of the result, without secrets
hex=     # the last address that was looked at
scratch= # removed at the end

usage() {
    cat <<END
usage: $me --realm NAME --secret-file PATH --cert PATH --key PATH
           [option]... FILE

Writes FILE, the configuration of a coturn that relays calls for webrtc_signal.

  --realm NAME          the site's name: example.org
  --secret-file PATH    secrets shared with the web server, one a line, the
                        newest first; made if there is no such file
  --cert PATH           certificate with its chain, PEM
  --key PATH            its private key, PEM
  --external-ip IP[/PRIVATE-IP]
                        behind NAT: the public address, and this machine's own
  --listening-ip IP     an address to listen on and to relay from; may be given
                        several times; without it all that the machine has
  --port N              STUN and TURN, UDP and TCP (3478)
  --tls-port N          TURN over TLS (5349)
  --allow-peer IP[-IP]  relay to these although the template denies them; may
                        be given several times
  --user NAME           whom coturn runs as (turnserver, if you are root and
                        there is such a user; else you)
  --template PATH       another template (turnserver.conf beside this program)
END
}

main() {
    take_options "$@"
    trap 'rm -f ${scratch:+"$scratch"}' EXIT
    trap 'exit 1' HUP INT TERM
    umask 077
    check_place
    check_ports
    check_addresses
    check_realm
    check_secrets
    check_certificate
    render
    check_lines
    check_with_coturn
    [ ${#secrets[@]} -gt 0 ] || make_secret
    write
    tell
}

fail() {
    echo "$me: $*" >&2
    exit 1
}

warn() {
    echo "$me: warning: $*" >&2
}

misused() {
    echo "$me: $*" >&2
    echo "try $me --help" >&2
    exit 2
}

take_options() {
    local name missing=
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) usage; exit ;;
        -*) [ -n "${2-}" ] || misused "$1 needs a value" ;;
        *)
            [ -z "$file" ] ||
                misused "\"$file\" and \"$1\": one FILE is expected"
            file=$(absolute "$1")
            shift
            continue
            ;;
        esac
        case $1 in
        --realm) realm=$2 ;;
        --secret-file) secret_file=$(absolute "$2") ;;
        --cert) cert=$(absolute "$2") ;;
        --key) key=$(absolute "$2") ;;
        --external-ip) external_ip=$2 ;;
        --listening-ip) listening_ips+=("$2") ;;
        --port) port=$2 ;;
        --tls-port) tls_port=$2 ;;
        --allow-peer) allowed_peers+=("$2") ;;
        --user) user=$2 ;;
        --template) template=$(absolute "$2") ;;
        *) misused "unknown option \"$1\"" ;;
        esac
        shift 2
    done
    for name in realm secret_file cert key; do
        [ -n "${!name}" ] || missing+=" --${name/_/-}"
    done
    [ -n "$file" ] || missing+=" FILE"
    [ -z "$missing" ] || misused "missing:$missing"
}

# As coturn, in another folder, will find it.
absolute() {
    [[ $1 == /* ]] && echo "$1" || echo "$PWD/$1"
}

# Whose the result will be, and where it goes.
check_place() {
    [ -n "$user" ] || [ "$EUID" != 0 ] || ! id turnserver >/dev/null 2>&1 ||
        user=turnserver
    user=${user:-$(id -un)}
    uid=$(id -u -- "$user" 2>/dev/null) ||
        fail "--user \"$user\": no such user"
    gid=$(id -g -- "$user")
    [ "$EUID" = 0 ] || [ "$EUID" = "$uid" ] ||
        fail "--user \"$user\": only root can write a file for another user"
    check_path FILE "$file"
    check_folder "\"$file\"" "${file%/*}/"
    as_user test -x "${file%/*}/" || fail "\"$file\": $user, whom coturn will" \
        "run as, may not enter \"${file%/*}/\""
    [ ! -L "$file" ] ||
        fail "\"$file\" is a symbolic link: name the file that it leads to"
    [ ! -e "$file" ] || [ -f "$file" ] ||
        fail "\"$file\" exists and is no regular file"
    ! is_foreign || [ ! -e "$file.orig" ] ||
        fail "\"$file\" was not written by $me, and \"$file.orig\", where it" \
            "would be kept, is there already: remove one of them"
    [ -r "$template" ] || fail "--template \"$template\": cannot be read"
}

# Where a file will be made.  In a folder of others they could put a link in its
# place while root writes.
check_folder() {
    local owner mode
    [ -d "$2" ] || fail "$1: there is no folder \"$2\""
    [ -w "$2" ] || fail "$1: no permission to write to \"$2\""
    [ "$EUID" = 0 ] || return 0
    read -r owner mode < <(stat -Lc '%u %a' "$2")
    [ "$owner" = 0 ] && [ $((8#$mode & 8#22)) = 0 ] ||
        fail "$1: others than root may write to the folder \"$2\": take one" \
            "of root's, or: chown root $2 && chmod go-w $2"
}

# Written by hand, or brought by a package.
is_foreign() {
    [ -e "$file" ] && ! grep -qF "$mark " -- "$file"
}

as_user() {
    if [ "$EUID" = "$uid" ]; then
        "$@"
    else
        setpriv --reuid="$uid" --regid="$gid" --init-groups -- "$@"
    fi
}

check_ports() {
    local option
    for option in "--port $port" "--tls-port $tls_port"; do
        [[ ${option#* } =~ ^[1-9][0-9]{0,4}$ && ${option#* } -le 65535 ]] ||
            fail "${option%% *} \"${option#* }\": a number from 1 to 65535 is" \
                "expected"
    done
    [ "$port" != "$tls_port" ] ||
        fail "--port and --tls-port are both $port: two ports are expected"
}

check_addresses() {
    local address fault
    for address in "${listening_ips[@]}"; do
        is_address "$address" || bad_address --listening-ip "$address"
    done
    for address in "${allowed_peers[@]}"; do
        fault=$(range_fault "$address")
        [ -z "$fault" ] || bad_address --allow-peer "$address" "$fault"
    done
    [ -z "$external_ip" ] || check_external "${external_ip%%/*}"
}

bad_address() {
    fail "$1 \"$2\": ${3:-an IPv4 or IPv6 address is expected}"
}

# Why coturn would not take the peers $1 for what they look like.
range_fault() {
    local from=${1%%-*} to=${1#*-} low high
    for high in "$from" "$to"; do
        is_address "$high" || {
            echo "\"$high\" is no IPv4 or IPv6 address (ranges: FIRST-LAST)"
            return
        }
    done
    high=$hex
    is_address "$from"
    low=$hex
    if [ ${#low} != ${#high} ] || [[ $low > $high ]]; then
        echo "first and last address are expected, as in 10.1.0.0-10.1.0.255"
    elif [[ ! $high =~ [^0] || ( ${#low} = 32 && ! $low =~ [^0] ) ]]; then
        echo "coturn takes $from for every address"
    elif [ ${#low} = 32 ] && ! is_prefix "$low" "$high"; then
        echo "coturn takes ranges of IPv6 for what they are only if all is 0" \
            "in the first, and f in the last address, after the byte in which" \
            "the two differ: fd00::-fd00:0:0:ffff:ffff:ffff:ffff:ffff"
    fi
}

# coturn 4.6.1 compares each byte by itself.
is_prefix() {
    local i=0
    while [ "$i" -lt 32 ] && [ "${1:i:2}" = "${2:i:2}" ]; do
        i=$((i + 2))
    done
    [[ ! ${1:i+2} =~ [^0] && ! ${2:i+2} =~ [^f] ]]
}

check_external() {
    local public=$1 own=${external_ip#*/} special= size
    local expected="IP or IP/PRIVATE-IP is expected: 198.51.100.7/10.0.0.7"
    is_address "$public" || bad_address --external-ip "$external_ip" "$expected"
    ! is_special || special="$public is no address of the internet"
    size=${#hex}
    is_address "$own" || bad_address --external-ip "$external_ip" "$expected"
    [ "$size" = ${#hex} ] || bad_address --external-ip "$external_ip" \
        "both have to be IPv4 or both IPv6"
    if [ -n "$special" ] && ! is_special; then
        fail "--external-ip \"$external_ip\": the public address stands first:" \
            "$own/$public"
    elif [ "$own" != "$public" ]; then
        [ -z "$special" ] || warn "--external-ip: $special"
    elif [ -n "$special" ]; then
        fail "--external-ip \"$external_ip\": $special: the one that browsers" \
            "reach is expected, behind NAT as PUBLIC/PRIVATE; without NAT" \
            "leave the option out"
    fi
}

# Whether the address in $hex is one of those that the template denies.
is_special() {
    case ${#hex}:$hex in
    8:00* | 8:0a* | 8:7f* | 8:a9fe* | 8:ac1* | 8:c0a8* | 8:64[4-7]* | \
        8:c00000* | 8:c00002* | 8:c01fc4* | 8:c034c1* | 8:c05863* | \
        8:c0af30* | 8:c61[23]* | 8:c63364* | 8:cb0071* | 8:a83f8110 | \
        8:[ef]* | 32:20010[01]* | 32:20010db8* | 32:2002* | \
        32:2620004f8000* | 32:3fff0* | 32:[!23]*) ;;
    *) return 1 ;;
    esac
}

# Sets $hex: 8 digits of an IPv4 address, 32 of an IPv6 address.
is_address() {
    hex=$(perl -MSocket=inet_pton,AF_INET,AF_INET6 -e '
        my ($text) = @ARGV;
        my $bytes = inet_pton($text =~ /:/ ? AF_INET6 : AF_INET, $text);
        print unpack "H*", $bytes // exit 1' -- "$1")
}

check_realm() {
    [[ ${#realm} -le 127 &&
        $realm =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] ||
        fail "--realm \"$realm\": a name such as example.org is expected:" \
            "letters, digits, . and -, 127 at most"
}

# The rules of the web server's module, so that no file is good for one only.
check_secrets() {
    check_path --secret-file "$secret_file"
    if [ -e "$secret_file" ] || [ -L "$secret_file" ]; then
        read_secrets
    else
        check_folder "--secret-file \"$secret_file\"" "${secret_file%/*}/"
    fi
}

read_secrets() {
    local mode size line n=0
    [ -f "$secret_file" ] || bad_secret "is not a file"
    [ -r "$secret_file" ] || bad_secret "cannot be read"
    read -r mode size < <(stat -Lc '%a %s' "$secret_file")
    [ $((8#$mode & 7)) = 0 ] ||
        bad_secret "is open to every user (mode $mode): a secret may be read" \
            "by its owner and group only"
    [ "$size" -le 65536 ] || bad_secret "is too large for a file of secrets"
    ! IFS= read -r -d '' line <"$secret_file" || bad_secret "holds a NUL byte"
    while IFS= read -r line || [ -n "$line" ]; do
        n=$((n + 1))
        line=${line%$'\r'}
        [ -n "$line" ] || continue
        check_secret "$line" "line $n"
        secrets+=("$line")
    done <"$secret_file"
    [ ${#secrets[@]} -gt 0 ] || bad_secret "holds no secret"
}

bad_secret() {
    fail "--secret-file \"$secret_file\": $*"
}

check_secret() {
    [ ${#1} -ge 16 ] ||
        bad_secret "$2 is too short: at least 16 bytes are expected"
    [[ ${#1} -le 512 && ! $1 =~ [[:cntrl:]] && $1 != [\ \#=\"]* &&
        $1 != *[\ \;] && $1 != static-auth-secret?* ]] ||
        bad_secret "$2 is no secret that coturn reads as it stands: at most" \
            "512 bytes are expected, without control characters, a blank at" \
            "either end, one of # = \" at the beginning, a ; at the end, or" \
            "the name of coturn's option"
}

# With most of these coturn would run on without TLS, and browsers do not tell
# why they do without a server.
check_certificate() {
    local about own check=-checkhost
    check_file --cert "$cert"
    check_file --key "$key"
    ! is_address "$realm" || check=-checkip
    about=$(openssl x509 -inform PEM -in "$cert" -noout -pubkey \
        -enddate "$check" "$realm" 2>/dev/null || true)
    [[ $about == *notAfter=* ]] ||
        fail "--cert \"$cert\": no certificate in PEM"
    own=$(openssl pkey -inform PEM -in "$key" -passin pass: -pubout \
        2>/dev/null) ||
        fail "--key \"$key\": no private key in PEM without a passphrase"
    [[ $about == *"$own"* ]] ||
        fail "--key \"$key\" does not belong to --cert \"$cert\""
    openssl x509 -in "$cert" -noout -checkend 0 >/dev/null ||
        fail "--cert \"$cert\" ran out: $(grep notAfter= <<<"$about")"
    [[ $about == *"does match"* ]] ||
        warn "--cert \"$cert\" is not for $realm: change the turns: line" \
            "below to a name that it is for"
}

check_file() {
    [ -f "$2" ] || fail "$1 \"$2\": there is no such file"
    check_path "$1" "$2"
    as_user test -r "$2" ||
        fail "$1 \"$2\": $user, whom coturn will run as, cannot read it: give" \
            "it copies, now and after each renewal (README, TURN):" \
            "install -D -m 600 -o $user -t /etc/coturn $cert $key"
}

# Of configurations, where blanks and quotation marks mean something.
check_path() {
    [[ ${#2} -le 900 && $2 =~ ^[A-Za-z0-9/._+,:%~=-]+$ ]] ||
        fail "$1 \"$2\": a path of at most 900 letters, digits and" \
            "/ . _ + , : % ~ = - is expected"
}

render() {
    local name word
    mapfile -t lines <"$template"
    for name in realm port tls_port cert key; do
        lines=("${lines[@]//@${name^^}@/"${!name}"}")
    done
    lines+=("" "$mark with")
    for word in "${given[@]}"; do # coturn breaks lines of 1023 bytes
        lines+=("$(printf '#     %q' "$word")")
    done
    [ -z "$external_ip" ] || lines+=("external-ip=$external_ip")
    lines+=("${listening_ips[@]/#/listening-ip=}")
    lines+=("${allowed_peers[@]/#/allowed-peer-ip=}")
}

# What coturn would take otherwise than it looks.
check_lines() {
    local line n=0 fault
    local number='^[[:blank:]]*([a-z-]*-(port|quota|lifetime|nonce|bps))[[:blank:]=]+(.*[^[:space:]])'
    local allowed='^[[:blank:]]*allowed-peer-ip[[:blank:]=]+([^[:space:]]*)'
    for line in "${lines[@]}"; do
        n=$((n + 1))
        [[ ! $line =~ ^[[:blank:]]*# ]] || continue
        [[ ! $line =~ @[A-Z_]+@ ]] ||
            bad_line "$n" "has ${BASH_REMATCH[0]}, which is not known"
        if [[ $line =~ $number && ${BASH_REMATCH[3]} == *[!0-9]* ]]; then
            bad_line "$n" "is wrong: ${BASH_REMATCH[1]} is a number"
        fi
        if [[ $line =~ $allowed ]]; then
            fault=$(range_fault "${BASH_REMATCH[1]}")
            [ -z "$fault" ] || bad_line "$n" "is wrong: $fault"
        fi
    done
}

bad_line() {
    fail "line $1 of \"$template\" $2"
}

# coturn starts in spite of options that it does not know, and of values that
# are none.  So the installed one reads a copy without secrets first.  It stops
# at the user without a name, before it opens anything.
check_with_coturn() {
    local words name
    command -v turnserver >/dev/null || {
        warn "turnserver is not installed here: options are not checked"
        return
    }
    scratch=$(mktemp)
    {
        echo log-file=stdout
        printf '%s\n' "${lines[@]}" |
            grep -Ev '^[[:blank:]]*(log-file|syslog|proc-user)([[:blank:]=]|$)'
        echo proc-user=
    } >"$scratch"
    words=$(timeout 5 turnserver -c "$scratch" 2>/dev/null </dev/null || true)
    [[ $words == *"Unknown user name"* ]] ||
        fail "turnserver does not read the result:"$'\n'"$words"
    # 4.7.0 and later do what that line asks for without it
    name=$(sed -n '/: no-stun-backward-compatibility$/d
        s/.*Bad configuration format: *//p' <<<"$words" | head -n 1)
    [ -z "$name" ] || bad_line "$(printf '%s\n' "${lines[@]}" |
        grep -nE -m 1 "^[[:blank:]]*$name([[:blank:]=]|\$)" | cut -d : -f 1)" \
        "has the option \"$name\", which turnserver does not know"
    # and not what later versions say of an option that went out of use
    words=$(grep -Ei 'semicolon|error.*(wrong|unknown|cannot|invalid)' \
        <<<"$words" |
        grep -v 'Unknown user name' || true)
    [ -z "$words" ] || fail "turnserver does not take the result:"$'\n'"$words"
}

make_secret() {
    rm -f "$scratch"
    scratch=$(mktemp "$secret_file.XXXXXX")
    openssl rand -hex 32 >"$scratch"
    mv "$scratch" "$secret_file"
    echo "made $secret_file, with one secret"
    read_secrets
}

write() {
    rm -f "$scratch"
    scratch=$(mktemp "$file.XXXXXX")
    {
        printf '%s\n' "${lines[@]}"
        printf 'static-auth-secret=%s\n' "${secrets[@]}"
    } >"$scratch"
    [ "$EUID" != 0 ] || chown -h "$uid:$gid" "$scratch"
    if is_foreign; then
        ln "$file" "$file.orig"
        echo "kept what was there as $file.orig"
    fi
    mv "$scratch" "$file"
}

tell() {
    local n=${#secrets[@]} start="turnserver -c $file --pidfile="
    [ "$file" != /etc/turnserver.conf ] || start="systemctl restart coturn"
    cat <<END
wrote $file, with $n secret$([ "$n" = 1 ] || echo s)
Start coturn, as user $user: $start

nginx, in the server block of the site:
    webrtc_signal_ice_server stun:$realm:$port
                             turn:$realm:$port?transport=udp
                             turn:$realm:$port?transport=tcp
                             turns:$realm:$tls_port?transport=tcp;
    webrtc_signal_turn_secret_file $secret_file;

Apache, in the virtual host of the site:
    WebrtcSignalIceServer stun:$realm:$port \\
                          turn:$realm:$port?transport=udp \\
                          turn:$realm:$port?transport=tcp \\
                          turns:$realm:$tls_port?transport=tcp
    WebrtcSignalTurnSecretFile $secret_file
END
}

main "$@"
