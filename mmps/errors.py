"""What is wrong with a file or an address, and what to do about it."""

from typing import ClassVar


class InputError(RuntimeError):
    """Something that was given to mmps cannot be used, or not be written.

    Args:
        file: Path, address, or name of what was given; or, alone, a whole
            message: a data loader rebuilds an error of its workers from the
            message.
        problem: What is wrong, with the value and the limit.
        hint: What to do about it.
    """

    #: Between problem and hint.
    separator: ClassVar[str] = '. '

    def __init__(
        self, file: object, problem: str = '', hint: str = ''
    ) -> None:
        super().__init__(str(file), problem, hint)
        self.file = str(file)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        text = f'{self.file}: {self.problem}' if self.problem else self.file
        separator = '\n' if '\n' in self.problem else self.separator
        return f'{text}{separator}{self.hint}' if self.hint else text
