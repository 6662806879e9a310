# The person's own settings, then the project's environment in front.
ZDOTDIR=$AEN_THEIRS
[ -r "$ZDOTDIR/.zshrc" ] && . "$ZDOTDIR/.zshrc"
HISTFILE=${HISTFILE:-$HOME/.zsh_history}
case $HISTFILE in "$AEN_ZSH"/*) HISTFILE=$HOME/.zsh_history ;; esac
. "$AEN_ZSH/../project.sh"
[ "$ZDOTDIR" = "$HOME" ] && unset ZDOTDIR
unset AEN_ZSH AEN_THEIRS
PROMPT="%B%F{green}[${AEN_PROJECT//\%/%%}]%f %F{blue}%~%f%b%# "
