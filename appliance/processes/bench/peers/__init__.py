"""Other products beside the box: installed, started and measured in the same run, with the same load."""
