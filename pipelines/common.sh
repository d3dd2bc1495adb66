# Shared by the scripts beside it: finds the plugin and says what is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GST_PLUGIN_PATH=${GST_PLUGIN_PATH:-$here/target/release}

# The header of the script is its help.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# need ELEMENT…: every element the script takes beyond those of streamgist itself.
need() {
  command -v gst-launch-1.0 >/dev/null || { echo "gst-launch-1.0 is missing: sudo apt-get install gstreamer1.0-tools" >&2; exit 5; }
  local element
  for element in gistsummarizer "$@"; do
    # Without a version, 1.0 would be asked for, of plugins that count from 0.1 too.
    gst-inspect-1.0 --exists --atleast-version=0.0.0 "$element" && continue
    case $element in
      gist*) echo "The plugin is not in $GST_PLUGIN_PATH: run 'make build', or set GST_PLUGIN_PATH" >&2 ;;
      *) echo "The GStreamer element $element is missing: run 'make deps', or 'streamgist doctor'" >&2 ;;
    esac
    exit 5
  done
}

# need_file PATH: a file the user named.
need_file() { [ -f "$1" ] || { echo "There is no file $1" >&2; exit 3; }; }

# uri PATH-OR-ADDRESS: an address, as uridecodebin3 takes it. Assign it (uri=$(uri "$1")): only then a file that is not
# there ends the script.
uri() {
  case $1 in
    *://*) printf '%s' "$1" ;;
    *) need_file "$1"; python3 -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).resolve().as_uri(), end="")' "$1" ;;
  esac
}
