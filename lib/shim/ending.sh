# Part of the launchers: sets $record, the last lines of the launch record, or of another file that tells what
# a job has used. $counters has NAME FILE of what is counted, a line each; IFS is a newline.

set_record() { # FIRST_LINE
  record=$1$newline
  for counter in $counters; do
    record=${record}counter\ ${counter%% *}$newline
    while read -r line; do
      record=$record$line$newline
    done <"${counter#* }"
  done
  record=${record}end
}
