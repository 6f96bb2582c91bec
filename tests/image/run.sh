# run.sh prepare|visit: what the test does inside the image, as root. The image knows nothing of it: unit and disk come from
# outside. Lines that begin with "vm:" are for the test. On the disk at /run/rig besides: speech.wav, phase (of the boots).
set -u
exec >>/dev/virtio-ports/rig.out 2>&1
uptime() { cut -d' ' -f1 /proc/uptime; }
say() { echo "vm: [$(uptime) s] $*"; }
fail() {
    say "FAILED: $*"
    journalctl -b --no-pager -o short-monotonic | tail -n 150
    sync
    sleep 2
    systemctl poweroff --force
    exit 1
}
sim=/sys/kernel/config/gpio-sim/booth
if [ "$1" = prepare ]; then
    modprobe gpio-sim || fail "gpio-sim does not load"
    modprobe snd-aloop enable=1,1 index=0,1 id=mic,ear || fail "snd-aloop does not load"
    mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
    mkdir -p $sim/bank0
    echo 32 >$sim/bank0/num_lines
    echo gpio-sim-booth >$sim/bank0/label
    echo 1 >$sim/live
    udevadm settle
    chip=$(cat $sim/bank0/chip_name)
    say "lines on $chip, $(stat -c '%U %G %a' "/dev/$chip")"
    say "data: $(head -n 1 /run/booth/data), $(findmnt -no SIZE /data)"
    exit 0
fi
chip=$(cat $sim/bank0/chip_name)
lines=/sys/devices/platform/$(cat $sim/dev_name)/$chip
log() { journalctl -u booth-gateway -o verbose --no-pager; }
wait_for() { # TEXT [TIMES]
    for _ in $(seq 300); do
        [ "$(log | grep -c -- "$1")" -ge "${2:-1}" ] && return 0
        sleep 0.5
    done
    fail "the gateway never said '$1'"
}
pull() { echo "pull-$2" >"$lines/sim_gpio$1/pull"; }
hook=17 pulse=22 off_normal=23 lamp=27
dial() { # as tests/vm/run.sh
    perl -e '
        my ($lines, $pulse, $off_normal, $n) = @ARGV;
        sub pull { open(my $f, ">", "$lines/sim_gpio$_[0]/pull") or die; print $f "pull-$_[1]\n"; close $f }
        sub rest { select undef, undef, undef, $_[0] }
        pull($off_normal, "down"); rest(0.3);
        for (1 .. $n) { pull($pulse, "up"); rest(0.06); pull($pulse, "down"); rest(0.04) }
        rest(0.05); pull($off_normal, "up");
    ' "$lines" $pulse $off_normal "$1"
}
for _ in $(seq 240); do
    [ "$(systemctl show -P ActiveState booth-gateway)" = active ] && break
    sleep 0.5
done
[ "$(systemctl show -P ActiveState booth-gateway)" = active ] || fail "the gateway does not start"
pull $pulse down
pid=$(systemctl show -P MainPID booth-gateway)
say "started as $(stat -c %U "/proc/$pid"), $(($(systemctl show -P ActiveEnterTimestampMonotonic booth-gateway) / 1000)) ms after the kernel"
wait_for "the handset works"
wait_for "ONLINE=true"
# The lamp is steady while a citizen can speak; every other language of it is dark within a second.
steady=0
for _ in $(seq 600); do
    if [ "$(cat "$lines/sim_gpio$lamp/value")" = 1 ]; then steady=$((steady + 1)); else steady=0; fi
    [ $steady -ge 12 ] && break
    sleep 0.1
done
[ $steady -ge 12 ] || fail "the lamp never said ready"
say "ready"
say "memory: $(awk '/^MemTotal/ { total = $2 } /^MemAvailable/ { free = $2 } END { printf "%d of %d MiB in use", (total - free) / 1024, total / 1024 }' /proc/meminfo)"
say "$(systemd-analyze 2>/dev/null | head -n 1)"
systemd-analyze blame --no-pager | head -n 12
failed=$(systemctl --failed --no-legend --plain | awk '{ print $1 }' | tr '\n' ' ')
say "failed units: ${failed:-none}"
for unit in $failed; do journalctl -b -u "$unit" --no-pager -o cat | tail -n 10; done
say "inbound: $(nft list chain inet booth input | grep -c 'policy drop')"
say "logins: $(cat /proc/[0-9]*/comm | grep -c 'getty\|sshd\|login$')"
say "listening: $(ss -Hltun | awk '{ print $1, $5 }' | sort -u | tr '\n' ' ')"
say "clock: $(timedatectl show -p NTP -p NTPSynchronized --value 2>/dev/null | tr '\n' ' ')"

if [ "$(cat /run/rig/phase)" = first ]; then
    pull $hook down
    wait_for "first sample in the earpiece"
    dial 2
    # The notice must be heard first; consent, the tone, and recording follow.
    sleep 14
    aplay -q -D plughw:CARD=mic,DEV=0 /run/rig/speech.wav || fail "aplay"
    sleep 1
    pull $hook up
    wait_for "MESSAGE=kept"
    say "kept"
    wait_for "MESSAGE=confirmed"
    say "confirmed"
    /usr/lib/booth/journal-ring || fail "the journal's ring"
    say "ring: $(ls /data/journal | tr '\n' ' ')"
    say "CUT THE POWER"
    sleep 600
fi
say "DONE"
sync
sleep 1
systemctl poweroff
