"""POSIX ACLs: what each entry of a tree should be (`permissions`), one inode (`posix`), the safe walk (`tree`)."""
