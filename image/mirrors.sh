# Sourced: DEBIAN_MIRROR and SECURITY_MIRROR, by default those that this machine's apt uses. A dated snapshot fits unchanged.
mirror_of() {
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        awk -v label="$1" '{ url = $1; $1 = ""; sub(/^ /, ""); if ($0 == label) { print url; exit } }'
}
: "${DEBIAN_MIRROR:=$(mirror_of Debian)}"
: "${SECURITY_MIRROR:=$(mirror_of Debian-Security)}"
DEBIAN_MIRROR=${DEBIAN_MIRROR%/} SECURITY_MIRROR=${SECURITY_MIRROR%/}
[ -n "$DEBIAN_MIRROR" ] && [ -n "$SECURITY_MIRROR" ] || {
    echo "This machine's apt names no mirror of Debian: set DEBIAN_MIRROR and SECURITY_MIRROR." >&2
    exit 1
}
