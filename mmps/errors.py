"""What is wrong with a file or an address, and what to do about it."""


class InputError(RuntimeError):
    """Something that was given to mmps cannot be used, or not be written.

    Args:
        file: Path, address, or name of what was given.
        problem: What is wrong, with the value and the limit.
        hint: What to do about it.
    """

    def __init__(self, file, problem: str, hint: str = '') -> None:
        super().__init__(str(file), problem, hint)
        self.file = str(file)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        separator = '\n' if '\n' in self.problem else '. '
        text = f'{self.file}: {self.problem}'
        return f'{text}{separator}{self.hint}' if self.hint else text
