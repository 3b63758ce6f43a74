#!/usr/bin/env bash
# Starts nginx: run.sh --port N [--address IP], 127.0.0.1 by default. The script
# becomes nginx, so a signal to its process number reaches nginx. QUIT is the
# graceful stop. The files of nginx are in ../target.
set -euo pipefail
[[ ${1:-} == --port && -n ${2:-} && ( $# == 2 || ${3:-} == --address && -n ${4:-} ) ]] \
    || { echo "usage: run.sh --port N [--address IP]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../target/nginx/$2
mkdir -p "$folder"
head -c $((64 << 10)) /dev/zero | tr '\0' x >"$folder/64k"
head -c $((10 << 20)) /dev/zero | tr '\0' x >"$folder/10m"
sed -e "s|@ADDRESS@|${4:-127.0.0.1}|; s|@PORT@|$2|; s|@FOLDER@|$folder|; s|@USER@|$(id -un) $(id -gn)|" \
    "$here/nginx.conf.template" >"$folder/nginx.conf"
exec nginx -c "$folder/nginx.conf" -e "$folder/error.log" -g 'daemon off;'
