"""The exceptions of gridfield. Each has the sentence that the program ``gridfield`` prints."""


class Error(Exception):
    """Anything that gridfield refuses or cannot do."""


class ConfigError(Error, ValueError):
    """A setting, a value or the shape of an array is not as it should be."""


class FileError(Error, OSError):
    """A file or folder cannot be read or written, or holds something else."""


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder does not exist."""


class DeviceError(Error, RuntimeError):
    """The device is missing or cannot run the kernels."""


class DivergedError(Error, ArithmeticError):
    """Training produced numbers that are not finite."""
