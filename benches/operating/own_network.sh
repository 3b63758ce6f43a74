#!/bin/sh
# Runs a command, such as the drill, in a network namespace; and in it servers that have a network
# of their own, as containers have, with a pair of veth interfaces between the two. Such a server
# listens on 10.99.0.2. At the moment that it exits, the interfaces are removed, and what is still
# on its way is lost.
#
#   here=benches/operating/own_network.sh
#   sudo $here farewell drill --allow-remote --url http://10.99.0.2:8080/ \
#       -- $here farewell --listen 10.99.0.2:8080
set -eu

case ${OWN_NETWORK:-} in
'')
    OWN_NETWORK=clients exec unshare --net -- "$0" "$@"
    ;;
clients)
    # A server holds the pipe open for writing, so the reader finds its end when the server exits.
    # This is faster than the kernel, which removes the interfaces 20 to 30 ms later.
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    SERVER_RUNS=$folder/pipe
    mkfifo "$SERVER_RUNS"
    while cat "$SERVER_RUNS"; do ip link delete outside || true; done >/dev/null 2>&1 &
    ip link set lo up
    export SERVER_RUNS
    OWN_NETWORK=server "$@" && code=0 || code=$?
    kill $!
    # A writer that comes and goes ends the reader, too.
    : <>"$SERVER_RUNS"
    exit "$code"
    ;;
server)
    OWN_NETWORK=inside exec unshare --net -- "$0" "$@"
    ;;
esac

outside() {
    nsenter --net="/proc/$PPID/ns/net" "$@"
}

# In this order: the reader of the pipe has removed the interfaces of the server before this one,
# or has not noticed its exit, and then the kernel removes them.
exec 9>"$SERVER_RUNS"
while outside ip link show outside >/dev/null 2>&1; do
    sleep 0.01
done
ip link set lo up
ip link add eth0 type veth peer name outside
ip link set outside netns "$PPID"
ip address add 10.99.0.2/24 dev eth0
ip link set eth0 up
outside ip address add 10.99.0.1/24 dev outside
outside ip link set outside up
exec "$@"
