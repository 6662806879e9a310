# For bash and zsh alike: the project's environment in front, whatever the person's own settings did to PATH, and its folder.
if [ -n "$AEN_PROJECT_BIN" ]; then
    case "$PATH:" in
        "$AEN_PROJECT_BIN:"*) ;;
        *) PATH="$AEN_PROJECT_BIN:$PATH" ;;
    esac
    export PATH
    if [ -d "${AEN_PROJECT_BIN%/bin}/conda-meta" ]; then
        export CONDA_PREFIX="${AEN_PROJECT_BIN%/bin}"
    else
        export VIRTUAL_ENV="${AEN_PROJECT_BIN%/bin}"
    fi
fi
# Jupyter's own folder is the person's home; a terminal is opened to work in the project.
[ "$PWD" = "$HOME" ] && [ -n "$AEN_PROJECT_DIR" ] && cd "$AEN_PROJECT_DIR"
