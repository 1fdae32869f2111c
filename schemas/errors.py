"""The user's mistakes, as opposed to ours."""


class UserError(Exception):
    """A mistake the user can mend: printed as its one sentence, without a traceback, exit status 2.

    >>> raise UserError("photos/ has no images; set source.images to a folder of .jpg or .png files")
    """
