#!/bin/sh
# `conda` and `mamba` where environments are made by uv: says so, and what does the same. It comes last on the PATH, so a conda
# of the machine's own, or of the environment's, is found before.
program=${0##*/}
environment=${AEN_PROJECT_BIN%/bin}
verb=${1:-}
[ $# -gt 0 ] && shift

packages=
while [ $# -gt 0 ]; do
	case $1 in
	-n | --name | -p | --prefix | -c | --channel | -f | --file) [ $# -gt 1 ] && shift ;;
	-*) ;;
	*[\<\>\*!]*) packages="$packages '$1'" ;;
	*) packages="$packages $1" ;;
	esac
	shift
done
# conda's numpy=1.26 is pip's numpy==1.26
packages=$(printf '%s' "$packages" | sed 's/\([^=<>!~]\)=\([^=]\)/\1==\2/g')

case $verb in
install) instead="pip install${packages:- PACKAGE}" ;;
update | upgrade) instead="pip install --upgrade${packages:- PACKAGE}" ;;
remove | uninstall) instead="pip uninstall${packages:- PACKAGE}" ;;
list) instead="pip list" ;;
activate) instead="nothing: the active environment is in every terminal already" ;;
*) instead= ;;
esac

{
	printf '%s: environments here are made by uv, not by conda. The active one is %s.\n' "$program" "${environment##*/}"
	[ -n "$instead" ] && printf '  Instead of this:  %s\n' "$instead"
	printf '  New environments, other ones, an environment.yml:  the page Environments of the project'
	[ -n "${AEN_SERVER_URL:-}" ] && printf ' (%s/%s/environments)' "${AEN_SERVER_URL%/}" "${AEN_PROJECT:-}"
	printf '\n  Packages of conda channels:  ask an administrator for environments.backend: conda.\n'
} >&2
exit 1
