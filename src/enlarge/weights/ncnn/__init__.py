"""Models of ncnn, a pair of files: `.param` lists the layers, `.bin` holds their weights.

In the order in which a model passes them:

    detecting a file → the pair
    param     the text → layers
    weights   the weights, read in the order of the layers
    nodes     values of a graph, and the step from one layer to its nodes
    layers    the table: type of layer → function that adds its nodes
    graph     a pair → an ONNX file
"""
