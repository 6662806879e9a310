# What a terminal of AEN starts with where the person's shell is zsh. Their own settings come from where they keep them.
AEN_ZSH=$ZDOTDIR ZDOTDIR=$HOME
[ -r "$HOME/.zshenv" ] && . "$HOME/.zshenv"
AEN_THEIRS=$ZDOTDIR ZDOTDIR=$AEN_ZSH # zsh reads our .zshrc next, and that one theirs
