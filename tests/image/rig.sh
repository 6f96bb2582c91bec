# rig.sh: what the test has inside the image, as root; the image knows nothing of it: unit and disk come from outside. It takes
# one script a line (base64) from the serial port rig.agent, runs it with the functions below, and answers with what it wrote and
# a line "rig-end STATUS". Time is asked of the kernel here, because the host's says nothing of the machine's.
agent=/dev/virtio-ports/rig.agent
heard=/run/rig-heard
uptime() { cut -d' ' -f1 /proc/uptime; }
# heard TEXT: how many lines of the gateway's journal have it, structured fields included.
heard() { grep -c -- "$1" $heard; }
# wait_for TEXT [TIMES] [SECONDS]
wait_for() {
    for _ in $(seq $((${3:-150} * 2))); do
        [ "$(heard "$1")" -ge "${2:-1}" ] && return 0
        sleep 0.5
    done
    echo "the gateway has not said '$1' ${2:-1} times in ${3:-150} s"
    return 1
}
# The last clip id that a line with TEXT has in its entry.
clip_of() { awk -v text="$1" '/^[A-Z][a-z][a-z] / { id = hit = "" } /CLIP_ID=/ { sub(/.*CLIP_ID=/, ""); id = $0 } index($0, text) { hit = 1 } hit && id { last = id } END { print last }' $heard; }
# mark TEXT: into the card's unused sector 64, so that it stands in the log of writes at the moment when it is true.
mark() { printf '%-512.512s' "rig-mark: $*" | dd of=/dev/vda bs=512 seek=64 count=1 oflag=direct conv=notrunc status=none; }
# busy: the processor's ticks, all and idle; busy BEFORE: how much of the time since then it was not idle.
busy() { awk -v before="${1:-}" '/^cpu / { all = $2 + $3 + $4 + $5 + $6 + $7 + $8; idle = $5 + $6
    if (before == "") print all ":" idle
    else { split(before, was, ":"); printf "%d %% of %d s\n", 100 - 100 * (idle - was[2]) / (all - was[1]), (all - was[1]) / 100 } exit }' /proc/stat; }
# The data partition's bytes written since the boot.
written() { awk '{ print $7 * 512 }' /sys/class/block/vda4/stat; }
# Those of all other partitions, and of the disk outside of them.
written_elsewhere() { awk '{ all[FILENAME] = $7 * 512 } END { print all["/sys/class/block/vda/stat"] - all["/sys/class/block/vda4/stat"] }' /sys/class/block/vda/stat /sys/class/block/vda4/stat; }
if [ "${1:-}" = serve ]; then
    journalctl -b -u booth-gateway -o verbose --no-tail -f >$heard 2>/dev/null &
    exec 3<>$agent
    echo rig-up >&3
    while read -r line <&3; do
        echo "$line" | base64 -d >/run/rig-script
        sh -c '. /run/rig/rig.sh; . /run/rig-script' >&3 2>&1 </dev/null
        # On a line of its own, whatever the script wrote last.
        printf '\nrig-end %s\n' $? >&3
    done
fi
