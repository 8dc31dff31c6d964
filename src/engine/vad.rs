//! Voice activity: how likely somebody speaks, frame by frame. The only file that knows earshot.
