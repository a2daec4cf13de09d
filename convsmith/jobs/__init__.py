"""One file per command: the public function that joins the layers below into one job."""
