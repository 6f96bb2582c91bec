# Functions for the initrd, read with `.`: which line the lamp of this booth is on, out of the card's booth.toml. For busybox ash and any
# other POSIX shell. Best effort, in a few milliseconds, long before anything has judged the file: what is not plainly there is not
# guessed, a line that booth.toml gives to something else, too, is never driven, and nothing here can keep a booth from starting.

# early_lamp_words FOLDER: prints "CHIP LINE" or "CHIP LINE active-low" for the program early-lamp ("-" as CHIP: it looks for the header),
# or nothing where the lamp is not plainly said. FOLDER is the mounted partition BOOTH.
early_lamp_words() {
    for early_lamp_file in "$1"/*; do
        case ${early_lamp_file##*/} in
        [Bb][Oo][Oo][Tt][Hh].[Tt][Oo][Mm][Ll] | [Bb][Oo][Oo][Tt][Hh].[Tt][Oo][Mm][Ll].[Tt][Xx][Tt]) ;;
        *) continue ;;
        esac
        [ -f "$early_lamp_file" ] || continue
        # Byte order marks and the zero bytes of UTF-16 go; what is left of other signs does not matter here.
        early_lamp_said=$(head -c 65536 "$early_lamp_file" | LC_ALL=C tr -d '\000\357\273\277\376\377' | tr '\r' '\n' | LC_ALL=C awk '
            # A line without its comment.
            function bare(text,    i, sign, quote, out) {
                for (i = 1; i <= length(text); i++) {
                    sign = substr(text, i, 1)
                    if (quote == "" && sign == "#") break
                    if (quote == "" && (sign == "\"" || sign == "\047")) quote = sign
                    else if (sign == quote) quote = ""
                    out = out sign
                }
                return out
            }
            # The number, or the word in quotes, behind "key =" of an inline table; "" without one.
            function number(text, key) {
                if (!match(text, "(^|[{, \t])" key "[ \t]*=[ \t]*[0-9]+")) return ""
                text = substr(text, RSTART, RLENGTH)
                sub(/.*=[ \t]*/, "", text)
                return text
            }
            function word(text, key) {
                if (!match(text, "(^|[{, \t])" key "[ \t]*=[ \t]*[\"\047][a-z]*[\"\047]")) return ""
                text = substr(text, RSTART, RLENGTH)
                sub(/.*=[ \t]*/, "", text)
                return substr(text, 2, length(text) - 2)
            }
            { text = bare($0); gsub(/^[ \t]+|[ \t]+$/, "", text) }
            text ~ /^\[/ { section = text; gsub(/[][ \t"]/, "", section); next }
            {
                at = index(text, "=")
                if (!at) next
                key = substr(text, 1, at - 1)
                gsub(/[ \t"\047]/, "", key)
                value = substr(text, at + 1)
                if (section != "") key = section "." key
                if (key !~ /^handset\./) next
                sub(/^handset\./, "", key)
                plain = "x=" value
                if (key == "backend") backend = word(plain, "x")
                else if (key == "chip") { chip = value; gsub(/^[ \t"\047]+|[ \t"\047]+$/, "", chip) }
                else if (key == "lamp") { lamp = number(value, "line"); on = word(value, "on") }
                else if (key == "lamp.line") lamp = number(plain, "x")
                else if (key == "lamp.on") on = word(plain, "x")
                else {
                    if (key ~ /^hook/) has_hook = has_hook || number(key ~ /\.line$/ ? plain : value, key ~ /\.line$/ ? "x" : "line") != ""
                    if (key ~ /^keypad/) while (match(value, /[0-9]+/)) {
                        others[substr(value, RSTART, RLENGTH) + 0] = 1
                        value = substr(value, RSTART + RLENGTH)
                    }
                    else if (key ~ /\.line$/) others[number(plain, "x") + 0] = 1
                    else if (number(value, "line") != "") others[number(value, "line") + 0] = 1
                }
            }
            END {
                # Where booth.toml has no hook, it is line 17.
                if (!has_hook) others[17] = 1
                if (lamp == "" || lamp + 0 > 1023 || (lamp + 0) in others || backend == "sim") exit
                if (on != "" && on != "low" && on != "high") exit
                if (chip == "") chip = "-"
                else if (chip !~ /^\/dev\/[A-Za-z0-9_-]+$/) exit
                print chip, lamp + 0, on == "low" ? "active-low" : ""
            }')
        # Without the blank at its end.
        early_lamp_said=${early_lamp_said% }
        if [ -n "$early_lamp_said" ]; then
            echo "$early_lamp_said"
            return 0
        fi
    done
    return 1
}

# early_lamp_on FOLDER PATTERN [PIDFILE]: begins to blink, if the lamp is known, and notes who does (by default in
# /run/booth/early-lamp.pid). Whoever needs the line ends that process: booth-gateway.service does before the gateway starts.
early_lamp_on() {
    early_lamp_said=$(early_lamp_words "$1") || return 1
    # The words are to be split.
    # shellcheck disable=SC2086
    early-lamp $early_lamp_said "$2" </dev/null >/dev/null 2>&1 &
    echo $! >"${3:-/run/booth/early-lamp.pid}"
}

# early_lamp_off [PIDFILE]: ends it, and waits until the line is free, a second at most.
early_lamp_off() {
    early_lamp_pid=$(cat "${1:-/run/booth/early-lamp.pid}" 2>/dev/null) || return 0
    rm -f "${1:-/run/booth/early-lamp.pid}"
    kill "$early_lamp_pid" 2>/dev/null || return 0
    early_lamp_tries=0
    while kill -0 "$early_lamp_pid" 2>/dev/null && [ $early_lamp_tries -lt 20 ]; do
        sleep 0.05
        early_lamp_tries=$((early_lamp_tries + 1))
    done
}
