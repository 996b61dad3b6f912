// base comes first: nothing in it can include the folders that build on it.
#include <refnorm/data/sampler.h>
