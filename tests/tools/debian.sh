# For other scripts to source. Brings a Debian package into a folder, without root and without starting any service.

bring() { # name, package, folder, programs in it
    local name=$1 package=$2 target=$3 program=$4 work each missing=""
    for each in "${@:4}"; do
        [ -x "$target/usr/bin/$each" ] || missing=yes
    done
    [ -z "$missing" ] && return
    command -v apt-get >/dev/null || { echo "$name: needs apt-get, or $program in $target/usr/bin" >&2; exit 1; }
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    # Lists and archives of our own: leaves the machine's as they are.
    local apt=(apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
    "${apt[@]}" update
    (cd "$work" && "${apt[@]}" download "$package")
    rm -rf "$target.part" && mkdir -p "$target.part"
    dpkg -x "$work/$package"_*.deb "$target.part"
    rm -rf "$target" && mv "$target.part" "$target"
    echo "$name: $("$target/usr/bin/$program" --version 2>&1 | head -n 1)"
}
