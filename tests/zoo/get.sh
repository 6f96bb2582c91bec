#!/bin/sh
# get.sh FOLDER [NAME ...]: the brokers that tests/link/brokers.rs meets, each in a folder below FOLDER, made once:
#   debian-12    Mosquitto 2.0.11                           by mmdebstrap, from Debian's packages; run in a chroot
#   debian-13    Mosquitto 2.0.21, RabbitMQ 4, Python 3     the same
#   paho         Paho's interoperability broker             from its repository, or from PAHO_REPOSITORY=<a clone of it>
# Says of each whether it is there, and why not. Status 0 if all are. Nothing of it is ever committed.
set -u
folder=$1
shift
[ $# -gt 0 ] || set -- debian-12 debian-13 paho
PAHO_REPOSITORY=${PAHO_REPOSITORY:-https://github.com/eclipse/paho.mqtt.testing.git}
PAHO_COMMIT=9d7bb80
mkdir -p "$folder"
log=$(mktemp)
trap 'rm -rf "$log" "$folder"/*.new' EXIT
missing=0

had() { [ -e "$folder/$1/complete" ]; }
publish() { touch "$folder/$1.new/complete" && rm -rf "${folder:?}/$1" && mv "$folder/$1.new" "$folder/$1"; }

debian() { # name, release, packages
    command -v mmdebstrap >/dev/null || { echo "the package mmdebstrap is missing" >"$log"; return 1; }
    mmdebstrap --quiet --variant=essential --include="$3" --format=directory \
        --customize-hook='rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/usr/share/doc "$1"/usr/share/locale' \
        "$2" "$folder/$1.new" >"$log" 2>&1 && publish "$1"
}
paho() {
    git clone --quiet "$PAHO_REPOSITORY" "$folder/paho.new" >"$log" 2>&1 &&
        git -C "$folder/paho.new" checkout --quiet "$PAHO_COMMIT" >>"$log" 2>&1 && publish paho
}

for name in "$@"; do
    if ! had "$name"; then
        rm -rf "$folder/$name.new"
        echo "$name: getting it …"
        case $name in
            debian-12) debian debian-12 bookworm mosquitto ;;
            debian-13) debian debian-13 trixie mosquitto,rabbitmq-server,python3-minimal ;;
            paho) paho ;;
            *) echo "no such broker: choose from debian-12, debian-13, paho" >"$log"; false ;;
        esac
    fi
    if had "$name"; then
        echo "$name: there"
    else
        missing=$((missing + 1))
        echo "$name: NOT HAD: $(grep -v '^ *$' "$log" | tail -n 1)"
    fi
done
exit "$((missing > 0))"
