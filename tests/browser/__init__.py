"""Tests in a real browser (Debian's Chromium), and the pictures of every page."""
