"""`python -m irwright` is `irwright`."""

from irwright.cli import main

if __name__ == "__main__":
    main()
