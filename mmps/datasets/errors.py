"""The one error of everything that reads a data set."""


class DatasetError(ValueError):
    """A file of a data set is missing, broken or not what its layout says.

    Args:
        file: The file or folder, or, alone, a whole message (a data loader
            rebuilds an error of its workers from the message).
        problem: What is wrong, with the value that was met.
        hint: What to do about it.
    """

    def __init__(self, file: object, problem: str = '', hint: str = ''):
        super().__init__(str(file), problem, hint)
        self.file = str(file)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        text = f'{self.file}: {self.problem}' if self.problem else self.file
        return f'{text}; {self.hint}' if self.hint else text
