# ci/setup: what it asks for, through which package manager, and when it keeps its hands off.
# shellcheck shell=sh disable=SC1091,SC2154
. "$(dirname -- "$0")/harness.sh"

plain_tools "$scratch/plain"
unset JAVA_HOME LLAMA_CPP_SOURCE_DIR
LLMM_CACHE_DIR=$scratch/cache
export LLMM_CACHE_DIR

# setup_with <folder of programs> <arguments...>: runs it with those programs and the plain tools only.
setup_with() {
    programs=$1
    shift
    try env PATH="$programs:$scratch/plain" "$scratch/plain/sh" "$root/ci/setup" "$@"
}

# An id of our own: the tests may run as anybody.
as_user() { echo "[ \"\$1\" = -u ] && echo $1 || exec /usr/bin/id \"\$@\"" | program "$scratch/$2/id"; }

mkdir -p "$scratch/none"
setup_with "$scratch/none" --run
check "without a known package manager it lists what is missing" 1 "missing: jdk maven compiler make ninja cmake git npm" "by hand"

# Debian: a package manager that leaves programs where a real one would.
as_user 0 apt
program "$scratch/apt/apt-cache" <<'END'
[ "$2" = "${KNOWN_JDK:-openjdk-17-jdk-headless}" ]
END
program "$scratch/apt/apt-get" <<'END'
echo "apt-get $*" >>"$SCRATCH/apt.calls"
case " $* " in *' update '*) exit "${UPDATE_STATUS:-0}" ;; esac
[ -z "${INSTALL_FAILS:-}" ] || { echo 'E: no such package'; exit 100; }
for tool in mvn gcc g++ make ninja git npm python3 pip3 unzip; do
    printf '#!/bin/sh\n' >"$SCRATCH/apt/$tool"
    chmod +x "$SCRATCH/apt/$tool"
done
printf '#!/bin/sh\necho javac %s.0.1\n' "${JDK:-17}" >"$SCRATCH/apt/javac"
printf '#!/bin/sh\necho cmake version 3.25.1\n' >"$SCRATCH/apt/cmake"
chmod +x "$SCRATCH/apt/javac" "$SCRATCH/apt/cmake"
END
SCRATCH=$scratch
export SCRATCH

setup_with "$scratch/apt" --run --dry-run
check "--dry-run says what it would install" 1 \
    "would run: apt-get install -q -y --no-install-recommends cmake g++ gcc git libc6-dev make maven ninja-build npm openjdk-17-jdk-headless python3 python3-pip unzip"
lacks "--dry-run installs nothing" test -e "$scratch/apt.calls"
says_nothing_of "--run asks for no test libraries" libgtest
setup_with "$scratch/apt" --models --dry-run
check "--models asks for Python and unzip only" 1 "--no-install-recommends python3 python3-pip unzip"
says_nothing_of "--models asks for no compiler" g++
setup_with "$scratch/apt" --arm64 --dry-run
check "--arm64 adds the cross compiler and the emulator" 1 g++-aarch64-linux-gnu qemu-user-static
KNOWN_JDK=openjdk-21-jdk-headless && export KNOWN_JDK
setup_with "$scratch/apt" --run --dry-run
check "a system without JDK 17 gets the next one" 1 openjdk-21-jdk-headless
unset KNOWN_JDK

INSTALL_FAILS=1 && export INSTALL_FAILS
setup_with "$scratch/apt" --run
check "a failed installation shows its last lines" 1 "E: no such package" "failed"
unset INSTALL_FAILS
UPDATE_STATUS=100 JDK=11 && export UPDATE_STATUS JDK
setup_with "$scratch/apt" --run
check "a JDK that is too old is noticed after the installation" 1 "still missing: jdk" JAVA_HOME
check "one unreachable source of packages does not stop it" 1 "reported an error"
JDK=17
setup_with "$scratch/apt" --run
check "it installs what is missing" 0 "installing with apt: openjdk-17-jdk-headless"
unset UPDATE_STATUS JDK

: >"$scratch/apt.calls"
setup_with "$scratch/apt" --run
check "where nothing is missing it succeeds" 0
same "and says nothing" "$out" ""
same "and asks no package manager" "$(cat "$scratch/apt.calls")" ""

printf '#!/bin/sh\necho cmake version 3.20.6\n' >"$scratch/apt/cmake"
setup_with "$scratch/apt" --run --dry-run
check "a CMake that is too old counts as missing" 1 "missing: cmake"

# npm serves only to fetch llama.cpp.
rm -f "$scratch/apt/npm"
printf '#!/bin/sh\necho cmake version 3.21.0\n' >"$scratch/apt/cmake"
mkdir -p "$scratch/source" && touch "$scratch/source/CMakeLists.txt"
LLAMA_CPP_SOURCE_DIR=$scratch/source && export LLAMA_CPP_SOURCE_DIR
setup_with "$scratch/apt" --run
check "npm is not needed where the source of llama.cpp is at hand" 0
unset LLAMA_CPP_SOURCE_DIR

# Somebody who may not install.
mkdir -p "$scratch/user"
cp "$scratch/apt/apt-get" "$scratch/apt/apt-cache" "$scratch/user/"
as_user 1000 user
setup_with "$scratch/user" --models
check "without root it prints the line to run" 1 "needs root" \
    "sudo apt-get -q update && sudo apt-get install -q -y --no-install-recommends python3 python3-pip unzip"
same "without root it starts no package manager" "$(cat "$scratch/apt.calls")" ""
program "$scratch/user/sudo" <<'END'
[ "$1" != -n ] || shift
echo "sudo $*" >>"$SCRATCH/sudo.calls"
exec "$@"
END
sed 's|/apt/|/user/|g' "$scratch/apt/apt-get" >"$scratch/user/apt-get"
setup_with "$scratch/user" --models
check "a sudo that asks for no password is used" 0 "installing with apt"
holds "and gets the installation" grep -q 'sudo env .*apt-get install' "$scratch/sudo.calls"

# The other package managers.
for pair in 'dnf gcc-c++' 'apk py3-pip' 'pacman jdk17-openjdk' 'brew openjdk@17'; do
    m=${pair% *}
    as_user 0 "$m"
    program "$scratch/$m/$m" </dev/null
    program "$scratch/$m/gcc" </dev/null
    [ "$m" != brew ] || program "$scratch/$m/g++" </dev/null
    setup_with "$scratch/$m" --run --dry-run
    check "$m has its own names of packages" 1 "${pair#* }"
done

setup_with "$scratch/none" --nonsense
check "an unknown argument is an error" 1 "unknown argument --nonsense"
finish
