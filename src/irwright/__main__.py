"""`python -m irwright` is `irwright`."""

from irwright.start import main

if __name__ == "__main__":
    main()
