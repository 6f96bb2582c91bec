#!/usr/bin/env bash
# Records the booth's own voice again: every row of crates/gateway-core/src/prompt/table.rs in both languages, or only the
# rows named as arguments. Writes <language>/<name>.opus and <language>/words.tsv, the list of what to say for a
# city that records a human voice, beside this file. The same table gives the same bytes.
#
# The voices are espeak-ng's own formant voices "en" and "da" (espeak-ng 1.51), whose output is free to use.
# `make.sh --phonemes [NAME…]` only shows how each row is pronounced.
set -euo pipefail
cd "$(dirname "$0")"
table=../../../crates/gateway-core/src/prompt/table.rs
only_phonemes=
if [ "${1:-}" = --phonemes ]; then only_phonemes=1; shift; fi
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT

# What a voice gets wrong when it is given the text, or says too short to be told apart in a telephone: phonemes.
declare -A spoken=(
    [en/number_1]="[[w'Vn]]" [en/number_1_common]="[[w'Vn]]"
    [da/letter_a]="[['&:]]" [da/letter_b]="[[b'e:]]" [da/letter_c]="[[s'e:]]" [da/letter_d]="[[d'e:]]"
    [da/letter_e]="[['e:]]" [da/letter_g]="[[g'e:]]" [da/letter_i]="[['i:]]" [da/letter_o]="[['o:]]"
    [da/letter_p]="[[p'e:]]" [da/letter_q]="[[k'u:]]" [da/letter_u]="[['u:]]" [da/letter_v]="[[v'e:]]"
    [da/letter_y]="[['y:]]" [da/unit_day]="[[d'?&:]]"
)
# The Danish voice reads these loan words as if they were Danish.
loans="s/\\bservice\\b/[[s'W:vis]]/I; s/\\bserveren(s?)\\b/[[s'W:vVn\\1]]/I; s/\\bserver\\b/[[s'W:vV]]/I; s/\\bnavneserveren\\b/[[n'Awn@-s,W:vVn]]/"

record() { # language, name, text
    local wav=$made/say.wav text=${spoken[$1/$2]:-$3} loud
    if [ "$1" = da ]; then text=$(sed -E "$loans" <<<"$text"); fi
    if [ -n "$only_phonemes" ]; then
        printf '%s/%s\t%s\t%s\n' "$1" "$2" "$3" "$(espeak-ng -v "$1" -q -x "$text" | tr '\n' ' ')"
        return
    fi
    espeak-ng -v "$1" -s 150 -w "$wav" "$text"
    # Without the silence around it; loud and soft syllables are brought together.
    sox -D "$wav" -r 48000 -c 1 "$made/bare.wav" gain -6 highpass 100 \
        silence 1 0.005 -55d reverse silence 1 0.005 -55d reverse \
        compand 0.005,0.1 6:-70,-70,-30,-24,0,-12 0 -40 0.005 gain -n -8
    # To -20 dBFS RMS; what would be louder than -6 dBFS then is bent, not cut. 10 ms before and 30 ms after are for the ear.
    loud=$(sox "$made/bare.wav" -n stat 2>&1 | awk '/RMS +amplitude/ { printf "%.2f", -25.5 - 20 * log($3) / log(10) }')
    sox -D "$made/bare.wav" "$made/loud.wav" gain "$loud" \
        compand 0.0002,0.02 2:-66,-66,-15,-15,-6,-12.5,0,-12 6 -66 0.001 pad 0.010 0.030
    # Letters and numbers have to be told apart: wideband. A higher complexity switches modes within a sentence at
    # these rates, which is heard as a crack.
    case $2 in letter_* | number_* | dash | dot | colon) bitrate=14 ;; *) bitrate=9 ;; esac
    opusenc --quiet --serial 1 --bitrate "$bitrate" --speech --comp 5 --framesize 60 --discard-comments --padding 0 \
        "$made/loud.wav" "$made/said.opus"
    without_comments <"$made/said.opus" >"$1/$2.opus"
}

# The second page of an Ogg Opus file again with the vendor alone (RFC 7845 §5.2, RFC 3533 §6): a fifth of a letter's
# file would be the options of the encoder.
without_comments() {
    perl -0777 -e '
        binmode STDIN; binmode STDOUT;
        my $file = <STDIN>;
        my $at = index $file, "OggS", 4;
        my $segments = ord substr $file, $at + 26, 1;
        my $size = 0;
        $size += $_ for unpack "C*", substr $file, $at + 27, $segments;
        my ($vendor) = unpack "x8 V/a*", substr $file, $at + 27 + $segments, $size;
        my $tags = "OpusTags" . pack "V/a* V", $vendor, 0;
        my $page = substr($file, $at, 22) . pack("V C C", 0, 1, length $tags) . $tags;
        my $sum = 0;
        for my $byte (unpack "C*", $page) {
            $sum ^= $byte << 24;
            $sum = ($sum << 1 ^ ($sum & 0x80000000 ? 0x04c11db7 : 0)) & 0xffffffff for 1 .. 8;
        }
        substr $page, 22, 4, pack "V", $sum;
        substr $file, $at, 27 + $segments + $size, $page;
        print $file'
}

sed -nE 's/^ +[A-Za-z0-9]+ = "([a-z0-9_]+)", "([^"]+)", "([^"]+)";$/\1\t\2\t\3/p' "$table" >"$made/table.tsv"
mkdir -p en da
if [ $# -eq 0 ] && [ -z "$only_phonemes" ]; then rm -f en/*.opus da/*.opus; fi
while IFS=$'\t' read -r name english danish; do
    if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then
        record en "$name" "$english"
        record da "$name" "$danish"
    fi
done <"$made/table.tsv"
[ -z "$only_phonemes" ] || exit 0

# Each row as it was when it was recorded, so that a text without its recording is found by a test.
for language in en da; do
    list=$language/words.tsv
    [ -f "$list" ] && [ $# -gt 0 ] || : >"$list"
    awk -F '\t' -v column="$([ $language = en ] && echo 2 || echo 3)" -v only=" $* " '
        FILENAME == ARGV[1] { said[$1] = $2; next }
        only == "  " || index(only, " " $1 " ") { said[$1] = $column }
        $1 in said { print $1 "\t" said[$1] }
    ' "$list" "$made/table.tsv" >"$made/list.tsv"
    cp "$made/list.tsv" "$list"
done
