# Sourced. Sets `java` to a Java of version 25 or newer, or ends with one sentence.
# Looks at JAVA_HOME, the PATH and /usr/lib/jvm (or VERDIER_JVM_ROOT); reads the JDK's `release` file, because starting each one would take longer
# than the server's own start.

major_of() { # $1: JDK directory; prints its major version, or nothing
  [ -x "$1/bin/java" ] && [ -r "$1/release" ] || return 0
  while IFS='="' read -r key _ value _; do
    if [ "$key" = JAVA_VERSION ]; then
      printf '%s' "${value%%.*}"
      return 0
    fi
  done <"$1/release"
}

accept() { # $1: JDK directory
  major=$(major_of "$1")
  case $major in
    '' | *[!0-9]*) return 1 ;;
  esac
  [ "$major" -ge 25 ] && java=$1/bin/java
}

find_java() {
  if [ -n "${JAVA_HOME:-}" ] && accept "$JAVA_HOME"; then
    return 0
  fi
  on_path=$(command -v java || true)
  if [ -n "$on_path" ]; then
    on_path=$(readlink -f "$on_path" 2>/dev/null || printf '%s' "$on_path")
    accept "${on_path%/bin/java}" && return 0
  fi
  for candidate in "${VERDIER_JVM_ROOT:-/usr/lib/jvm}"/*; do
    accept "$candidate" && return 0
  done
  echo "verdier needs Java 25 or newer: install a JDK 25 and set JAVA_HOME to it (looked at JAVA_HOME, the PATH and /usr/lib/jvm)." >&2
  exit 1
}

java=
find_java
