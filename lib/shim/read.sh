# Prints files, each between `file PATH` and `end`; nothing between them where it cannot be read. A few large
# writes: each wakes the server.
set -f
text=
for file; do
  text="${text}file $file
"
  while IFS= read -r line; do
    text="$text$line
"
  done <"$file"
  text="${text}end
"
  [ ${#text} -lt 4096 ] || { printf %s "$text"; text=; }
done 2>/dev/null
printf %s "$text"
