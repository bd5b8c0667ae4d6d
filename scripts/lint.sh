#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a reviewer should not have to say: SPDX lines, stray whitespace, long lines, layering, headers that do not stand alone.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0

complain() {
	[ -z "$2" ] && return
	printf '%s:\n%s\n' "$1" "$2"
	bad=1
}

mapfile -t sources < <(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.kind' '*.proto' Makefile)
complain "no SPDX line" "$(grep -L 'SPDX-License-Identifier' "${sources[@]}")"
complain "white space at the end of a line" "$(grep -nE '[[:space:]]+$' "${sources[@]}" | head -20)"
# Another release of clang-format lays some lines out differently: the one of Debian 12 is the judge.
mapfile -t formatted < <(git ls-files '*.c' '*.h')
case $(clang-format --version 2>/dev/null) in
*"version 14."*) complain "not laid out as .clang-format says (clang-format -i FILE)" \
	"$(clang-format --dry-run -Werror "${formatted[@]}" 2>&1 | grep -oE '^[^:]+:[0-9]+' | sort -u | head -20)" ;;
*) echo "skip: layout is checked with clang-format 14 (Debian 12), which is not here" ;;
esac
complain "unfinished" "$(grep -nE 'TODO|FIXME|XXX:|HACK' "${sources[@]}" | grep -v 'scripts/lint.sh' | head -20)"

# A layer includes itself and what lies below (the table is the Makefile's).
layers=$(make -s --no-print-directory print-layers)
while IFS=: read -r name dirs uses; do
	for d in $dirs; do
		for f in "$d"/*.[ch]; do
			[ -e "$f" ] || continue
			while read -r inc; do
				for other in agent control/store control/apiserver control/controllers sched cli lib/client lib/compile lib/api lib/io; do
					case $inc in
					*"$other/"*) ;;
					*) continue ;;
					esac
					layer=$(basename "$other")
					[ "$layer" = "$name" ] && continue
					case " $uses " in
					*" $layer "*) ;;
					*) complain "$f includes upwards" "$inc" ;;
					esac
				done
			done < <(grep -hoE '^#include "[^"]+"' "$f" | sed 's/^#include "//; s/"$//')
		done
	done
done <<<"$layers"

if command -v cppcheck >/dev/null; then
	# It does not follow TAKE(), cleanup() and maps that take ownership, and calls those leaks and null pointers: the sanitizers
	# judge these. What remains is what it is good at.
	suppress=(missingInclude missingIncludeSystem unknownMacro syntaxError internalAstError memleak memleakOnRealloc nullPointer
		nullPointerRedundantCheck nullPointerArithmeticRedundantCheck nullPointerArithmetic uninitdata autoVariables)
	out=$(cppcheck --quiet --inline-suppr --enable=warning,portability "${suppress[@]/#/--suppress=}" -j2 -Iuserspace -Iuserspace/lib \
		-Iheaders userspace 2>&1 | grep -E ': (error|warning):' | head -30)
	complain cppcheck "$out"
fi
[ "$bad" -eq 0 ] && echo "lint: clean"
exit "$bad"
