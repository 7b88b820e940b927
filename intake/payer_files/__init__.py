"""Files of payers' answers: a directory is watched, each file becomes events of the catalogue, and leaves the directory.

Belongs here: finding files, distinguishing whole from torn, repeated and foreign ones, reading each in a process of its own.
Does not belong here: reading X12, that is `domain.billing.x12.response_files`; what a response means for a
claim, that is `domain.billing.submission.status`.
"""
