"""`python -m multitalk`: the command line, where its script is not on the PATH."""

from multitalk.cli import main

if __name__ == "__main__":
    main()
