"""`python -m kaokore_painter` is the command `kaokore-painter`."""

from experiments.__main__ import main

if __name__ == "__main__":
    main()
