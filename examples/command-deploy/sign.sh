#!/bin/sh
# A sign that shows one text, as a deployer: `$SIGN` is the file that it is in. Needs jq.
set -eu
question=$(cat)
sign=$(cat "$SIGN" 2>/dev/null || echo null)

# Where the sign stands, by the change and the receipt in the question.
locate='
  if $sign == null then (if .change.before == null then {at: "before"}
                         else {at: "unknown", why: "somebody has taken the text away"} end)
  elif $sign.text == .change.wish and (.receipt == null or .receipt.run == $sign.run)
    then {at: "after"}
  elif $sign.text == (.change.before // {}).text then {at: "before"}
  else {at: "elsewhere", live: {release: $sign.text}} end'

answer() { printf '%s' "$question" | jq -c --argjson sign "$sign" "$1"; }
show() { printf '%s' "$1" > "$SIGN.new" && mv "$SIGN.new" "$SIGN"; }

case "$1" in
plan)
  answer '{change: {before: $sign, wish: .candidate.version}, scope: .candidate.version,
           summary: "shows \(.candidate.version)"}' ;;
live) answer '{live: ($sign | if . == null then null else {release: .text} end)}' ;;
locate) answer "$locate" ;;
apply)
  # Two lines: what the sign is to show, or null; and the answer.
  did=$(answer "($locate | .at) as \$at
    | if \$at == \"before\" then {text: .change.wish, run} else null end,
      if \$at == \"before\" or \$at == \"after\" then {receipt: {run}}
      else {error: {message: \"another text is shown\", effect: \"none\"}} end")
  shown=$(printf '%s\n' "$did" | head -n 1)
  [ "$shown" = null ] || show "$shown"
  printf '%s\n' "$did" | tail -n 1 ;;
undo)
  before=$(answer '.change.before')
  if [ "$before" = null ]; then rm -f "$SIGN"; else show "$before"; fi
  echo '{}' ;;
*) echo "unknown call $1" >&2; exit 2 ;;
esac
