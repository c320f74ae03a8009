"""The one error of everything that reads or writes a checkpoint."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be read, does not fit, or cannot be written.

    Args:
        file: Path or address of the checkpoint.
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
