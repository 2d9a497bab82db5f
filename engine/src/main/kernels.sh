#!/bin/sh
# Compiles the kernels in C and in CUDA beside the Java code, which keeps one core busy:
#   kernels.sh begin DIRECTORY "sm_90a sm_80 ..."   begins, and returns at once
#   kernels.sh end DIRECTORY CLASSES                waits, says what was said, and copies the kernels to the classes
# DIRECTORY is theirs alone: what appears among classes while Java is compiled is taken for classes, and removed with them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
step=$1
directory=$2
last=$3
backend=io/verdier/engine/backend

# $1: the run, whose status tells it from one that was interrupted and goes on
compile() {
  sh "$here/c/build.sh" "$directory/$backend/cpu/native" >"$directory/c.log" 2>&1 &
  in_c=$!
  status=0
  sh "$here/cuda/build.sh" "$directory/$backend/cuda/kernels.fatbin" "$last" >"$directory/cuda.log" 2>&1 || status=$?
  wait "$in_c" || status=$?
  echo "$status" >"$directory/part.$1"
  mv "$directory/part.$1" "$directory/status.$1"
}

case $step in
  begin)
    mkdir -p "$directory/$backend/cpu" "$directory/$backend/cuda"
    rm -f "$directory"/status.*
    compile $$ </dev/null >/dev/null 2>&1 &
    echo "$$ $!" >"$directory/run"
    ;;
  end)
    read -r run process <"$directory/run"
    while ! [ -f "$directory/status.$run" ]; do
      if ! kill -0 "$process" 2>/dev/null && ! [ -f "$directory/status.$run" ]; then
        echo "kernels: their compilation was ended from outside" >&2
        exit 1
      fi
      sleep 0.1
    done
    cat "$directory/c.log" "$directory/cuda.log"
    status=$(cat "$directory/status.$run")
    [ "$status" = 0 ] || exit "$status"
    rm -rf "${last:?}/$backend/cpu/native" "$last/$backend/cuda/kernels.fatbin"
    mkdir -p "$last"
    cp -Rp "$directory/io" "$last/"
    rm -f "$last/$backend/cuda/kernels.fatbin.sum" # the script's own
    ;;
esac
