# Frees the heads of files on disk, offsets staying as they are: pairs of LENGTH FILE.
# Prints each file that could not be cut.
set -f
while [ "$#" -ge 2 ]; do
  fallocate --punch-hole --keep-size --offset 0 --length "$1" "$2" || echo "$2"
  shift 2
done 2>/dev/null
:
