"""Commands: files to run, and modules of `langdg_d2.tools` where the package is installed."""
