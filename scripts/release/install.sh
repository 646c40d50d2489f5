#!/bin/sh
# Installs litestream-live: one executable, to /usr/local/bin, or ~/.local/bin without root.
#
#   sh install.sh                       # LITESTREAM_LIVE_URL=... where no address is built in
#   LITESTREAM_LIVE_DIR=/opt/bin sh install.sh
#
# Downloads the archive for this machine and SHA256SUMS, and installs only if they agree. Nothing is
# started, no config is written.
set -eu

version="${LITESTREAM_LIVE_VERSION:-@VERSION@}"
base="${LITESTREAM_LIVE_URL:-@BASE_URL@}"

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

download() { # URL FILE
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1"
  else
    fail "needs curl or wget"
  fi || fail "cannot download $1"
}

sha256() { # FILE
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
  else
    fail "needs sha256sum or openssl"
  fi
}

main() {
  [ -n "$base" ] || fail "set LITESTREAM_LIVE_URL to the address that has SHA256SUMS and the archives"
  [ "$(uname -s)" = Linux ] || fail "litestream-live runs on Linux only so far, not on $(uname -s)"
  case "$(uname -m)" in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no litestream-live for $(uname -m), only for x86_64 and aarch64" ;;
  esac
  # Deno, which it is built on, has no build for musl.
  for musl in /lib/ld-musl-*; do
    [ ! -e "$musl" ] || [ -e /lib64/ld-linux-x86-64.so.2 ] || [ -e /lib/ld-linux-aarch64.so.1 ] ||
      fail "litestream-live needs glibc 2.27 or newer; this system has musl"
  done

  if [ -n "${LITESTREAM_LIVE_DIR:-}" ]; then
    directory="$LITESTREAM_LIVE_DIR"
  elif [ "$(id -u)" = 0 ]; then
    directory=/usr/local/bin
  else
    directory="${HOME:?install.sh: set LITESTREAM_LIVE_DIR, there is no HOME}/.local/bin"
  fi

  name="litestream-live-$version-linux-$arch"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  download "$base/SHA256SUMS" "$work/SHA256SUMS"
  download "$base/$name.tar.gz" "$work/$name.tar.gz"
  want="$(awk -v name="$name.tar.gz" '$2 == name { print $1 }' "$work/SHA256SUMS")"
  [ -n "$want" ] || fail "SHA256SUMS has no $name.tar.gz"
  got="$(sha256 "$work/$name.tar.gz")"
  [ "$want" = "$got" ] || fail "$name.tar.gz has the checksum $got, SHA256SUMS says $want"

  tar -xzf "$work/$name.tar.gz" -C "$work" "$name/litestream-live"
  "$work/$name/litestream-live" version >/dev/null ||
    fail "the executable does not run here: it needs glibc 2.27 or newer and libgcc_s"
  mkdir -p "$directory"
  # Beside its place and moved: a node that runs keeps the file it was started from.
  cp "$work/$name/litestream-live" "$directory/.litestream-live.new"
  chmod 755 "$directory/.litestream-live.new"
  mv -f "$directory/.litestream-live.new" "$directory/litestream-live"
  echo "litestream-live $version is installed: $directory/litestream-live"
  case ":$PATH:" in
    *":$directory:"*) ;;
    *) echo "$directory is not in PATH" ;;
  esac
}

# All of the script is read before any of it runs: a download that was cut does nothing.
main
