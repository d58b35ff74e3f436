"""Every error vividhead raises on purpose, and the exit code of each.

    VividHeadError            1   something asked for could not be done
    ├── UsageError            2   the command line or an argument is wrong
    ├── ConfigError           2   a pipelines/*.toml or filters/*.toml file is wrong; all mistakes listed
    ├── DatasetError          3   the dataset folder is not one, is another run's, or is in use
    ├── MediaError            4   one file or stretch of footage cannot be used (becomes a row in a run)
    └── StorageError          5   the output cannot be written: full disk, no permission

A run that finished although some footage failed exits 0: failures are rows.
A run stopped by Ctrl-C or SIGTERM exits 130 and can be resumed by the same command.
"""


class VividHeadError(Exception):
    """What went wrong, where, and what to do, in one text."""

    exit_code = 1


class UsageError(VividHeadError):
    """The command line or an argument is wrong."""

    exit_code = 2


class ConfigError(VividHeadError):
    """A pipeline or filters file is wrong. `mistakes` holds one line for each."""

    exit_code = 2

    def __init__(self, where: str, mistakes: list[str]) -> None:
        """Join `mistakes`, each already saying what is wrong and what would be right, under `where`."""
        self.where = where
        self.mistakes = mistakes
        super().__init__("\n".join(f"{where}: {mistake}" for mistake in mistakes))


class DatasetError(VividHeadError):
    """The folder holds no dataset, another run's, or one in use."""

    exit_code = 3


class MediaError(VividHeadError):
    """Footage that cannot be used. `code` is closed and stable, for grouping; the text is for people."""

    exit_code = 4

    def __init__(self, code: str, detail: str) -> None:
        """Take the machine-readable `code`, such as `unreadable`, and the `detail` to show."""
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")

    def __reduce__(self) -> tuple[type["MediaError"], tuple[str, str]]:
        """Survive the way from a child process to its parent."""
        return type(self), (self.code, self.detail)


class StorageError(VividHeadError):
    """The output cannot be written."""

    exit_code = 5
