"""What the tasks refuse."""

from appliance.lib.located.problems import FileRefused


class TaskFileError(FileRefused):
    """A task file that changes nothing because of its ``problems``, in the order of the file."""

    code = "tasks.file_refused"
