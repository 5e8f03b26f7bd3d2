# Prints files, each between `file PATH` and `end`; nothing between them where it cannot be read.
set -f
for file; do
  echo "file $file"
  while IFS= read -r line; do printf '%s\n' "$line"; done <"$file"
  echo end
done 2>/dev/null
