#!/bin/sh
# git, for people and programs in a project: stands on PATH before the machine's own, and runs it.
# What lies in a project belongs to several people: git before 2.46 can't be told of all that is below one folder. And who
# has told git no name of theirs has the one of their account.
here=${0%/*} git=
IFS=:
for place in $PATH; do
    if [ "$place" != "$here" ] && [ -x "$place/git" ]; then
        git=$place/git
        break
    fi
done
unset IFS
if [ -z "$git" ]; then
    echo "git: it is not installed on this machine" >&2
    exit 127
fi
if [ -n "$AEN_GIT_EMAIL" ] && [ -z "$EMAIL" ] && ! "$git" config user.email >/dev/null 2>&1; then
    set -- -c user.email="$AEN_GIT_EMAIL" "$@"
fi
if [ -n "$AEN_GIT_NAME" ] && ! "$git" config user.name >/dev/null 2>&1; then
    set -- -c user.name="$AEN_GIT_NAME" "$@"
fi
case "$(pwd -P)/" in
    "${AEN_PROJECT_DIR:-/nowhere}"/*) set -- -c "safe.directory=*" "$@" ;;
esac
exec "$git" "$@"
