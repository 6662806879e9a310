# Login shells of people on a compute node: goes to /etc/profile.d/aen.sh. See docs/ssh.md.
# Works in any POSIX shell. AEN_PROJECT (owner/name) says where to land; without it, where one was last.

: "${AEN_PROJECT_ROOT:=/projects}"  # as compute.project_root

aen_project() {
    case "$1" in
        */*/* | */ | /* | *..* | "") echo "Use: aen_project OWNER/NAME" >&2; return 2 ;;
        */*) ;;
        *) echo "Use: aen_project OWNER/NAME" >&2; return 2 ;;
    esac
    if ! cd "$AEN_PROJECT_ROOT/$1" 2>/dev/null; then
        echo "There is no project $1 on this node, or you are not in its team." >&2
        return 1
    fi
    AEN_PROJECT=$1
    AEN_PROJECT_DIR=$PWD
    export AEN_PROJECT AEN_PROJECT_DIR
    mkdir -p "$HOME/.config/aen" && printf '%s\n' "$1" > "$HOME/.config/aen/project"
    if [ -d "$PWD/envs/default/bin" ]; then
        AEN_PROJECT_BIN="$PWD/envs/default/bin"
        case "$PATH:" in "$AEN_PROJECT_BIN:"*) ;; *) PATH="$AEN_PROJECT_BIN:$PATH" ;; esac
        export AEN_PROJECT_BIN PATH UV_LINK_MODE=copy
        if [ -d "$PWD/envs/default/conda-meta" ]; then
            export CONDA_PREFIX="$PWD/envs/default"
        else
            export VIRTUAL_ENV="$PWD/envs/default"
        fi
    fi
}

if [ -z "${AEN_PROJECT:-}" ] && [ -r "$HOME/.config/aen/project" ]; then
    IFS= read -r AEN_PROJECT < "$HOME/.config/aen/project" || :
fi
if [ -n "${AEN_PROJECT:-}" ]; then
    aen_project "$AEN_PROJECT" || :
fi
