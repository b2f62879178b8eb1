# Writes index.sha256 beside the installed libraries in ${_to}: "<sha256>  <file>" a line, sorted by name. The loader
# checks what it extracts against it, and its digest names the cache folder.
file(GLOB _libs LIST_DIRECTORIES false RELATIVE "${_to}" "${_to}/*")
list(FILTER _libs EXCLUDE REGEX "^index\\.sha256$")
list(SORT _libs)
set(_index "")
foreach(_l IN LISTS _libs)
    file(SHA256 "${_to}/${_l}" _h)
    string(APPEND _index "${_h}  ${_l}\n")
endforeach()
file(CONFIGURE OUTPUT "${_to}/index.sha256" CONTENT "${_index}" @ONLY)      # leaves an equal file alone
