"""What is said of a document while it is read: errors stop the import, warnings may, information never does."""

from typing import Final

from cumulo.base.errors import AwsError

_SAID_MAX: Final = 500


class Notes:
    """Collects what is found.  Each kind is bounded: a hostile document says the same a million times."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.information: list[str] = []

    def error(self, sentence: str) -> None:
        """Something that cannot be made."""
        _say(self.errors, sentence)

    def warn(self, sentence: str) -> None:
        """Something that is left out."""
        _say(self.warnings, sentence)

    def inform(self, sentence: str) -> None:
        """Something that this kind of API does not have."""
        if sentence not in self.information:
            _say(self.information, sentence)

    def parse_issue(self, where: str, what: str) -> None:
        """A warning in the form of AWS's parser: `attribute paths.'/pets'(get).responses is missing`."""
        self.warn(f"Parse issue: attribute {where} {what}")

    def settle(self, *, fail_on_warnings: bool) -> None:
        """BadRequestException when there were errors, or warnings that shall count as such."""
        if self.errors:
            text = "Errors found during import:\n\t" + "\n\t".join(self.errors)
            if self.warnings:
                text += "\nAdditionally, these warnings were found:\n\t" + "\n\t".join(self.warnings)
            raise AwsError("BadRequestException", text)
        if fail_on_warnings and self.warnings:
            raise AwsError(
                "BadRequestException", "Warnings found during import:\n\t" + "\n\t".join(self.warnings)
            )


def _say(sentences: list[str], sentence: str) -> None:
    if len(sentences) < _SAID_MAX:
        sentences.append(sentence[:1000])
