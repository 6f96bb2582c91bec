# run.sh: what the test does inside the machine, as root, at every boot. Lines that begin with "vm:" are for the test.
# On the disk mounted at /rig: booth-gateway, its units, sysusers and booth.toml, prompts, speech.wav, phase (of the boots).
set -u
say() { echo "vm: $*"; }
fail() {
    say "FAILED: $*"
    journalctl -u booth-gateway -o cat --no-pager | tail -n 80
    sync
    sleep 2
    exit 1
}

# The kernel's simulated GPIO chip and sound card.
insmod /lib/modules/gpio-sim/irq_sim.ko && insmod /lib/modules/gpio-sim/gpio-sim.ko || fail "gpio-sim does not load"
modprobe snd-aloop enable=1,1 index=0,1 id=mic,ear || fail "snd-aloop does not load"
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
sim=/sys/kernel/config/gpio-sim/booth
mkdir -p $sim/bank0
echo 32 >$sim/bank0/num_lines
echo gpio-sim-booth >$sim/bank0/label
echo 1 >$sim/live
chip=$(cat $sim/bank0/chip_name)
lines=/sys/devices/platform/$(cat $sim/dev_name)/$chip
say "lines on $chip"

# The product as it is installed.
install -m 755 /rig/booth-gateway /usr/bin/booth-gateway
install -m 644 /rig/booth-gateway.service /etc/systemd/system/
install -m 644 /rig/booth-restart.path /rig/booth-restart.service /etc/systemd/system/
install -D -m 755 /rig/restart /usr/lib/booth/restart
install -m 644 /rig/booth.sysusers.conf /usr/lib/sysusers.d/booth.conf
systemd-sysusers
install -d /etc/booth-gateway
cp -r /rig/booth.toml /rig/prompts /etc/booth-gateway/
chmod -R a+rX /etc/booth-gateway
# What a udev rule of the image does.
chgrp gpio "/dev/$chip" && chmod 660 "/dev/$chip"

# With the structured fields, one a line.
log() { journalctl -u booth-gateway -o verbose --no-pager; }
# wait_for TEXT [TIMES]: until the gateway's log has it so often.
wait_for() {
    for _ in $(seq 300); do
        [ "$(log | grep -c -- "$1")" -ge "${2:-1}" ] && return 0
        sleep 0.5
    done
    fail "the gateway never said '$1'"
}
pull() { echo "pull-$2" >"$lines/sim_gpio$1/pull"; }
hook=17 pulse=22 off_normal=23 lamp=27 tamper=25
lift() { pull $hook down; }
hang_up() { pull $hook up; }
# dial N: the contacts of a rotary dial, ten pulses a second, 60 % break.
dial() {
    perl -e '
        my ($lines, $pulse, $off_normal, $n) = @ARGV;
        sub pull { open(my $f, ">", "$lines/sim_gpio$_[0]/pull") or die; print $f "pull-$_[1]\n"; close $f }
        sub rest { select undef, undef, undef, $_[0] }
        pull($off_normal, "down"); rest(0.3);
        for (1 .. $n) { pull($pulse, "up"); rest(0.06); pull($pulse, "down"); rest(0.04) }
        rest(0.05); pull($off_normal, "up");
    ' "$lines" $pulse $off_normal "$1"
}
speak() { aplay -q -D plughw:CARD=mic,DEV=0 /rig/speech.wav || fail "aplay"; }

systemctl enable --now booth-restart.path || fail "booth-restart.path does not start"
systemctl start booth-gateway || fail "the unit does not start"
# At rest the pulse contact is closed and the case is shut.
pull $pulse down
pull $tamper down
say "started as $(stat -c %U "/proc/$(systemctl show -P MainPID booth-gateway)")"
wait_for "the handset works"
wait_for "the microphone works"
wait_for "the hub is online"
# The lamp is steady while a citizen can speak; every other language of it is dark within a second.
ready() {
    steady=0
    for _ in $(seq 300); do
        if [ "$(cat "$lines/sim_gpio$lamp/value")" = 1 ]; then steady=$((steady + 1)); else steady=0; fi
        [ $steady -ge 12 ] && return 0
        sleep 0.1
    done
    fail "the lamp never said ready"
}
ready
say "ready"

# What the doctor finds at the kernel's real lines and card; a verdict is for the reader, its crash is a failure.
doctor() {
    /usr/bin/booth-gateway doctor --config /etc/booth-gateway/booth.toml >/run/doctor.txt 2>&1
    [ $? -le 1 ] || fail "the doctor ended badly: $(cat /run/doctor.txt)"
    sed 's/^/vm: doctor: /' /run/doctor.txt
}
doctor

visit() { # visit NUMBER OF CLIPS KEPT AFTERWARDS
    lift
    wait_for "first sample in the earpiece" "$1"
    dial 2
    # The notice must be heard first; consent, the tone, and recording follow.
    sleep 14
    speak
    sleep 1
    hang_up
    wait_for "MESSAGE=kept" "$1"
    say "kept: $(log | grep -c -i xrun) lines about overruns"
}

case $(cat /rig/phase) in
first)
    visit 1
    wait_for "MESSAGE=confirmed"
    say "confirmed"

    # The sound card is pulled and comes back.
    echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind
    wait_for "microphone.*gone\|no frames come\|no microphone"
    say "the card's loss was noticed"
    echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind
    wait_for "the microphone works" 2
    say "the card is back"

    # A restart, now with a trace.
    systemctl stop booth-gateway
    say "stopped"
    doctor
    mkdir -p /etc/systemd/system/booth-gateway.service.d
    cat >/etc/systemd/system/booth-gateway.service.d/trace.conf <<'U'
[Service]
ExecStart=
ExecStart=/usr/bin/booth-gateway run --config /etc/booth-gateway/booth.toml --record-trace /run/booth-gateway/edges.trace
U
    systemctl daemon-reload
    systemctl start booth-gateway
    pull $pulse down
    pull $tamper down
    wait_for "the hub is online" 2
    ready
    say "started again"

    # The network is cut, a message is kept, the power goes.
    ip link set "$(ls /sys/class/net | grep ^en)" down
    visit 2
    sed 's/^/trace: /' /run/booth-gateway/edges.trace
    say "CUT THE POWER"
    sleep 600
    ;;
second)
    wait_for "MESSAGE=confirmed"
    say "confirmed after the power cut"
    ;;
third)
    # The command that restarted the machine is over: it does not restart for ever.
    sleep 20
    [ ! -e /run/booth-gateway/restart ] || fail "another restart is asked for"
    say "restarted once"
    ;;
figures)
    figure() { say "figure: $*"; }
    divided() { perl -e 'printf "%.3f", $ARGV[0] / $ARGV[1]' "$1" "$2"; }
    uptime() { cut -d " " -f 1 /proc/uptime; }
    since() { perl -e 'printf "%.2f", $ARGV[0] - $ARGV[1]' "$(uptime)" "$1"; }
    process=$(systemctl show -P MainPID booth-gateway)

    # A thread that sleeps and wakes has switched voluntarily.
    thread=$(dirname "$(grep -l "^Name:.*handset$" /proc/$process/task/*/status)")
    wakes() { sed -n 's/^voluntary_ctxt_switches:[^0-9]*//p' "$thread/status"; }
    before=$(wakes)
    began=$(uptime)
    sleep 30
    figure "the contacts' thread wakes while idle, a second|$(divided $(($(wakes) - before)) "$(since "$began")")|≤ 2|1"

    # CPU seconds of the whole gateway while it records, and after it of arecord and an encoder with the same settings
    # (examples/encode.rs), by the same speech.
    cpu() { perl -e 'open F, "/proc/$ARGV[0]/stat"; $_ = <F>; s/.*\)//; @f = split; printf "%.2f", ($f[11] + $f[12]) / 100' "$process"; }
    for round in 1 2; do
        lift
        wait_for "first sample in the earpiece" $round
        dial 2
        sleep 14
        before=$(cpu)
        began=$(uptime)
        speak && speak && speak
        spent=$(perl -e 'printf "%.2f", $ARGV[0] - $ARGV[1]' "$(cpu)" "$before")
        ours=$(divided "$spent" "$(since "$began")")
        sleep 1
        hang_up
        wait_for "MESSAGE=kept" $round
        systemctl stop booth-gateway
        # The card may be let go a moment later. An arecord that is refused costs nothing: only one that recorded counts.
        for attempt in $(seq 5); do
            (speak && speak && speak) &
            TIMEFORMAT="%U %S"
            theirs=$({ time arecord -q -D plughw:CARD=mic,DEV=1 -f S16_LE -c 1 -r 48000 -d 20 -t raw 2>/tmp/arecord |
                /rig/encode - /tmp/theirs.opus >/dev/null; } 2>&1 | tail -n 1)
            wait
            [ "$(stat -c %s /tmp/theirs.opus)" -gt 20000 ] && break
            say "arecord recorded nothing: $(tail -n 1 /tmp/arecord)"
            [ "$attempt" -lt 5 ] || fail "arecord never recorded"
            sleep 2
        done
        theirs=$(perl -e 'printf "%.4f", ($ARGV[0] + $ARGV[1]) / 20' $theirs)
        figure "CPU of the whole gateway while it records, share of a core|$ours||1"
        figure "CPU of arecord and the same encoder in turn, share of a core|$theirs||1"
        figure "ratio of the two|$(divided "$ours" "$theirs")|≤ 1.2|1"
        systemctl start booth-gateway
        process=$(systemctl show -P MainPID booth-gateway)
        pull $pulse down
        pull $tamper down
        wait_for "the hub is online" $((round + 1))
        ready
    done

    # The card is unplugged while nobody is there.
    began=$(uptime)
    echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind
    wait_for "microphone.*gone\|no frames come"
    noticed=$(journalctl -u booth-gateway -o short-monotonic --no-pager | grep -m 1 "microphone.*gone\|no frames come" |
        sed 's/^\[ *\([0-9.]*\)\].*/\1/')
    figure "a card that is pulled is noticed, s|$(perl -e 'printf "%.2f", $ARGV[0] - $ARGV[1]' "$noticed" "$began")|≤ 5|1"
    echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind

    # Edges as fast as the lines can be pulled, the whole booth at work.
    mkdir -p /etc/systemd/system/booth-gateway.service.d
    cat >/etc/systemd/system/booth-gateway.service.d/trace.conf <<'U'
[Service]
ExecStart=
ExecStart=/usr/bin/booth-gateway run --config /etc/booth-gateway/booth.toml --record-trace /run/booth-gateway/edges.trace
U
    systemctl daemon-reload
    systemctl restart booth-gateway
    pull $pulse down
    wait_for "the hub is online" 4
    trace=/run/booth-gateway/edges.trace
    before=$(grep -c dial_pulse $trace)
    perl -e '
        for my $n (1 .. 2000) {
            open(my $f, ">", "$ARGV[0]/pull") or die;
            print $f $n % 2 ? "pull-up\n" : "pull-down\n";
            close $f;
        }' "$lines/sim_gpio$pulse"
    sleep 3
    grep dial_pulse $trace | tail -n +$((before + 1)) >/tmp/edges
    figure "edges lost of those that the kernel told|$((2000 - $(wc -l </tmp/edges)))|0|2000"
    wrong=$(perl -ne '($at, undef, $level) = split; $wrong++ if $level != $. % 2 or $at < $last; $last = $at; END { print $wrong + 0 }' /tmp/edges)
    figure "edges out of order|$wrong|0|$(wc -l </tmp/edges)"
    ;;
esac
say "exposure: $(systemd-analyze security booth-gateway --no-pager 2>/dev/null | tail -n 1)"
journalctl -u booth-gateway -o cat --no-pager | tail -n 60
say "DONE"
sync
# From here on the centre has the word.
[ "$(cat /rig/phase)" != second ] || sleep 600
