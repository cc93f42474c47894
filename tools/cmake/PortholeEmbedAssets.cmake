# SPDX-License-Identifier: MIT
# porthole_embed_assets(): bakes a folder into a program. Pure CMake script, so that it also works
# when cross-compiling and needs no program of the host; docs/assets.md is its manual, and
# tools/embed_assets.py its twin for Meson, which writes the same sources.
#
# The file is included by projects, and run by the build itself with `cmake -P`, once for each asset
# that has changed: that part stands at the end.

function(_porthole_refuse)
    string(JOIN "" sentence ${ARGV})
    message(FATAL_ERROR "porthole_embed_assets: ${sentence}")
endfunction()

# What replaces @name@ in a template; plain text, so that no byte of a file's name is special.
function(_porthole_fill template out)
    file(READ "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${template}" text)
    foreach(name IN LISTS ARGN)
        string(REPLACE "@${name}@" "${${name}}" text "${text}")
    endforeach()
    set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(_porthole_write_if_different path text)
    if(EXISTS "${path}")
        file(READ "${path}" old)
        if("${old}" STREQUAL "${text}")
            return()
        endif()
    endif()
    file(WRITE "${path}" "${text}")
endfunction()

# A C++ string literal. What is not plain ASCII goes byte by byte, whatever charset the compiler
# believes in; each byte in a literal of its own, so that no hexadecimal digit joins the one before.
function(_porthole_literal text out)
    if("${text}" MATCHES "^[][A-Za-z0-9 !#$%&'()*+,./:;<=>@^_`{|}~-]*$")
        set(${out} "\"${text}\"" PARENT_SCOPE)
        return()
    endif()
    string(HEX "${text}" hex)
    string(REGEX REPLACE "(..)" "\"\\\\x\\1\" " literal "${hex}")
    string(STRIP "${literal}" literal)
    set(${out} "${literal}" PARENT_SCOPE)
endfunction()

# A pattern as a regular expression: "*" and "?" stop at '/', "**" does not, and a pattern without
# '/' is about the name alone.
function(_porthole_glob_to_regex glob out)
    string(REGEX REPLACE "([][+.^()|])" "\\\\\\1" regex "${glob}")
    string(REPLACE "?" "[^/]" regex "${regex}")
    string(REPLACE "**/" "\n\n" regex "${regex}")
    string(REPLACE "**" "\n" regex "${regex}")
    string(REPLACE "*" "[^/]*" regex "${regex}")
    string(REPLACE "\n\n" "(.*/)?" regex "${regex}")
    string(REPLACE "\n" ".*" regex "${regex}")
    if(glob MATCHES "/")
        set(${out} "^${regex}$" PARENT_SCOPE)
    else()
        set(${out} "(^|/)${regex}$" PARENT_SCOPE)
    endif()
endfunction()

function(_porthole_matches name globs out)
    set(${out} FALSE PARENT_SCOPE)
    foreach(glob IN LISTS globs)
        _porthole_glob_to_regex("${glob}" regex)
        if("${name}" MATCHES "${regex}")
            set(${out} TRUE PARENT_SCOPE)
            return()
        endif()
    endforeach()
endfunction()

# "64M" in bytes.
function(_porthole_bytes text out)
    if(NOT "${text}" MATCHES "^([0-9]+)([KMG]?)$")
        _porthole_refuse("MAX_SIZE is a number of bytes, or one with K, M or G behind it, not "
                         "\"${text}\".")
    endif()
    set(number "${CMAKE_MATCH_1}")
    set(unit "${CMAKE_MATCH_2}")
    set(K "* 1024")
    set(M "* 1048576")
    set(G "* 1073741824")
    set(factor)
    if(unit)
        set(factor "${${unit}}")
    endif()
    math(EXPR bytes "${number} ${factor}")
    set(${out} "${bytes}" PARENT_SCOPE)
endfunction()

# A link may lead anywhere within the folder and nowhere else.
function(_porthole_check_link dir name)
    file(REAL_PATH "${dir}" real_dir)
    file(REAL_PATH "${dir}/${name}" real)
    string(FIND "${real}" "${real_dir}/" at)
    if(NOT at EQUAL 0)
        _porthole_refuse("${dir}/${name} is a link that leaves DIR (to ${real}). Copy what it "
                         "stands for, or EXCLUDE it.")
    endif()
    if(NOT EXISTS "${dir}/${name}")
        _porthole_refuse("${dir}/${name} is a link to nothing.")
    endif()
    if(IS_DIRECTORY "${dir}/${name}")
        _porthole_refuse("${dir}/${name} is a link to a folder, whose files would be baked in "
                         "twice. Copy it, or EXCLUDE it.")
    endif()
endfunction()

# The files of a folder by the rules, as sorted names relative to it, and their sizes' sum.
function(_porthole_list_assets dir include exclude out out_size)
    # In a glob a bracket opens a set.
    string(REPLACE "[" "[[]" glob "${dir}")
    file(GLOB_RECURSE found LIST_DIRECTORIES TRUE RELATIVE "${dir}" CONFIGURE_DEPENDS "${glob}/*")
    set(names)
    set(total 0)
    foreach(name IN LISTS found)
        if("/${name}" MATCHES "/\\." AND NOT name MATCHES "^\\.well-known/[^.]")
            continue() # dotfiles are nobody's web page, but for RFC 8615
        endif()
        if(include)
            _porthole_matches("${name}" "${include}" is_wanted)
            if(NOT is_wanted)
                continue()
            endif()
        endif()
        _porthole_matches("${name}" "${exclude}" is_unwanted)
        if(is_unwanted)
            continue()
        endif()
        if(IS_SYMLINK "${dir}/${name}")
            _porthole_check_link("${dir}" "${name}")
        elseif(IS_DIRECTORY "${dir}/${name}")
            continue()
        elseif(NOT EXISTS "${dir}/${name}" OR name MATCHES "[\\\\\"\n\r\t$]")
            _porthole_refuse("the name \"${name}\" in ${dir} holds a character that build files "
                             "cannot carry. Rename or EXCLUDE it.")
        endif()
        file(SIZE "${dir}/${name}" size)
        math(EXPR total "${total} + ${size}")
        list(APPEND names "${name}")
    endforeach()
    list(SORT names COMPARE STRING)
    set(${out} "${names}" PARENT_SCOPE)
    set(${out_size} "${total}" PARENT_SCOPE)
endfunction()

# On a file system that ignores case one of them would be the other.
function(_porthole_check_case dir)
    set(seen)
    foreach(name IN LISTS ARGN)
        string(TOLOWER "${name}" lower)
        string(SHA1 key "${lower}")
        if(DEFINED "seen_${key}")
            _porthole_refuse("\"${seen_${key}}\" and \"${name}\" in ${dir} differ only in case, "
                             "so that the program would behave differently on another system. "
                             "Rename one, or EXCLUDE it.")
        endif()
        set("seen_${key}" "${name}")
    endforeach()
endfunction()

# The way in which bytes come into an object file: the best that this compiler has.
function(_porthole_find_backend out)
    if(NOT DEFINED CACHE{PORTHOLE_ASSETS_FOUND_BACKEND})
        include(CheckCXXSourceCompiles)
        set(CMAKE_REQUIRED_QUIET TRUE)
        check_cxx_source_compiles("
            #if defined(__clang__)
            #pragma clang diagnostic ignored \"-Wunknown-warning-option\"
            #pragma clang diagnostic ignored \"-Wc23-extensions\"
            #elif defined(__GNUC__)
            #pragma GCC diagnostic ignored \"-Wpedantic\"
            #endif
            #ifndef __has_embed
            #error
            #endif
            static const unsigned char bytes[] = {
            #embed \"${CMAKE_CURRENT_FUNCTION_LIST_FILE}\"
            };
            int main() { return bytes[0]; }" PORTHOLE_ASSETS_HAS_EMBED)
        check_cxx_source_compiles("
            #if defined(_MSC_VER)
            #error
            #elif defined(__ELF__)
            __asm__(\".pushsection .rodata,\\\"a\\\"\\n\"
                    \".incbin \\\"${CMAKE_CURRENT_FUNCTION_LIST_FILE}\\\"\\n.popsection\\n\");
            #else
            __asm__(\".incbin \\\"${CMAKE_CURRENT_FUNCTION_LIST_FILE}\\\"\\n.p2align 4\\n\");
            #endif
            int main() { return 0; }" PORTHOLE_ASSETS_HAS_INCBIN)
        set(found WORDS)
        if(PORTHOLE_ASSETS_HAS_EMBED)
            set(found EMBED)
        elseif(PORTHOLE_ASSETS_HAS_INCBIN)
            set(found INCBIN)
        endif()
        set(PORTHOLE_ASSETS_FOUND_BACKEND "${found}" CACHE INTERNAL "")
    endif()
    set(${out} "${PORTHOLE_ASSETS_FOUND_BACKEND}" PARENT_SCOPE)
endfunction()

function(_porthole_one_of option value)
    if(NOT value IN_LIST ARGN)
        list(JOIN ARGN ", " choices)
        _porthole_refuse("${option} is one of ${choices}, not \"${value}\".")
    endif()
endfunction()

# Arguments that nobody gave, and those that nobody may give. Sets `arg_...` in the caller.
macro(_porthole_check_arguments)
    if(NOT TARGET "${target}")
        _porthole_refuse("there is no target \"${target}\" yet.")
    endif()
    get_target_property(_directory "${target}" SOURCE_DIR)
    if(NOT _directory STREQUAL CMAKE_CURRENT_SOURCE_DIR)
        _porthole_refuse("call it beside add_executable(${target}), in "
                         "${_directory}/CMakeLists.txt.")
    endif()
    if(arg_UNPARSED_ARGUMENTS)
        _porthole_refuse("unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if("SPA" IN_LIST arg_KEYWORDS_MISSING_VALUES)
        set(arg_SPA index.html)
        list(REMOVE_ITEM arg_KEYWORDS_MISSING_VALUES SPA)
    endif()
    if(arg_KEYWORDS_MISSING_VALUES)
        _porthole_refuse("no value for ${arg_KEYWORDS_MISSING_VALUES}")
    endif()
    if(NOT arg_DIR)
        _porthole_refuse("name the folder: DIR web/dist")
    endif()
    foreach(_default NAMESPACE=app_assets COMPRESS=AUTO MAX_SIZE=64M DEV_FROM_DISK=AUTO)
        string(REGEX MATCH "^(.*)=(.*)$" _match "${_default}")
        if(NOT DEFINED arg_${CMAKE_MATCH_1})
            set(arg_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
        endif()
    endforeach()
    if(NOT DEFINED arg_BACKEND)
        set(arg_BACKEND "${PORTHOLE_ASSETS_BACKEND}")
    endif()
    if(NOT arg_BACKEND OR arg_BACKEND STREQUAL "AUTO")
        _porthole_find_backend(arg_BACKEND)
    endif()
    _porthole_one_of(COMPRESS "${arg_COMPRESS}" AUTO GZIP BROTLI NONE)
    _porthole_one_of(DEV_FROM_DISK "${arg_DEV_FROM_DISK}" AUTO ON OFF)
    _porthole_one_of(BACKEND "${arg_BACKEND}" EMBED INCBIN WORDS)
    if(NOT arg_NAMESPACE MATCHES "^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$")
        _porthole_refuse("\"${arg_NAMESPACE}\" is no C++ namespace.")
    endif()
    string(REGEX REPLACE "^/*(.*[^/])/*$" "/\\1" arg_PREFIX "${arg_PREFIX}")
    if(arg_PREFIX MATCHES "^/+$")
        set(arg_PREFIX "")
    endif()
    if(arg_PREFIX AND arg_DEV_FROM_DISK STREQUAL "ON")
        _porthole_refuse("DEV_FROM_DISK goes without PREFIX; mount the bundle below it instead.")
    elseif(arg_PREFIX)
        set(arg_DEV_FROM_DISK OFF)
    endif()
    _porthole_bytes("${arg_MAX_SIZE}" arg_MAX_SIZE)
endmacro()

# The table of all assets, which changes when one comes or goes, but not with their content.
function(_porthole_write_table out dir)
    set(declarations)
    set(pointers)
    set(count 0)
    foreach(name IN LISTS ARGN)
        string(SHA256 id "${name}")
        string(SUBSTRING "${id}" 0 16 id)
        string(APPEND declarations "extern const porthole::Asset ${symbols}_${id};\n")
        string(APPEND pointers "        &${symbols}_${id},\n")
        math(EXPR count "${count} + 1")
    endforeach()
    if(count EQUAL 0)
        set(pointers "        nullptr,\n")
    endif()
    set(header "${identifier}")
    set(namespace "${arg_NAMESPACE}")
    set(fallback nullptr)
    if(arg_SPA)
        _porthole_literal("${arg_PREFIX}/${arg_SPA}" fallback)
    endif()
    _porthole_literal("${dir}" directory)
    _porthole_fill(porthole_assets.hpp.in text namespace)
    _porthole_write_if_different("${out}/${identifier}.hpp" "${text}")
    _porthole_fill(porthole_assets.cpp.in text header declarations namespace pointers count fallback
                   directory)
    _porthole_write_if_different("${out}/${identifier}.cpp" "${text}")
endfunction()

# What the build's own runs of this file have to know.
function(_porthole_write_settings out dir)
    set(text "# Written by porthole_embed_assets.\n")
    set(prefix "${arg_PREFIX}")
    set(compress "${arg_COMPRESS}")
    set(immutable "${arg_IMMUTABLE}")
    set(has_immutable FALSE)
    if(DEFINED arg_IMMUTABLE)
        set(has_immutable TRUE)
    endif()
    set(max_size "${arg_MAX_SIZE}")
    set(backend "${arg_BACKEND}")
    set(byte_order "${CMAKE_CXX_BYTE_ORDER}")
    set(gzip "${PORTHOLE_GZIP}")
    set(brotli "${PORTHOLE_BROTLI}")
    foreach(name dir out symbols prefix compress immutable has_immutable max_size backend byte_order
                 gzip brotli)
        string(APPEND text "set(${name} [==[${${name}}]==])\n")
    endforeach()
    _porthole_write_if_different("${out}/settings.cmake" "${text}")
endfunction()

function(porthole_embed_assets target)
    cmake_parse_arguments(
        PARSE_ARGV 1 arg "OPTIONAL"
        "DIR;NAMESPACE;PREFIX;SPA;COMPRESS;IMMUTABLE;MAX_SIZE;DEV_FROM_DISK;BACKEND"
        "INCLUDE;EXCLUDE")
    _porthole_check_arguments()
    string(REPLACE "::" "_" identifier "${arg_NAMESPACE}")
    set(symbols "porthole_asset_${identifier}")
    set(out "${CMAKE_CURRENT_BINARY_DIR}/${identifier}")
    get_target_property(taken "${target}" PORTHOLE_ASSETS)
    if("${identifier}" IN_LIST taken)
        _porthole_refuse("${target} already has a folder in ${arg_NAMESPACE}. Give this one a "
                         "NAMESPACE of its own.")
    endif()
    set_property(TARGET "${target}" APPEND PROPERTY PORTHOLE_ASSETS "${identifier}")

    get_filename_component(dir "${arg_DIR}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    _porthole_list_assets("${dir}" "${arg_INCLUDE}" "${arg_EXCLUDE}" names total)
    if(NOT names AND arg_OPTIONAL)
        message(WARNING "porthole_embed_assets: ${dir} holds no files; ${target} is built without "
                        "them.")
    elseif(NOT names)
        _porthole_refuse("${dir} holds no files to bake in. Build the front end first (for "
                         "example `npm run build`), or pass OPTIONAL.")
    endif()
    _porthole_check_case("${dir}" ${names})
    if(total GREATER arg_MAX_SIZE)
        _porthole_refuse("${dir} holds ${total} bytes, more than MAX_SIZE (${arg_MAX_SIZE}). "
                         "EXCLUDE what the program does not need, or raise it.")
    endif()
    if(arg_SPA AND names AND NOT arg_SPA IN_LIST names)
        _porthole_refuse("SPA ${arg_SPA} is not among the files of ${dir}.")
    endif()

    find_program(PORTHOLE_GZIP gzip DOC "Compresses assets where CMake itself cannot")
    find_program(PORTHOLE_BROTLI brotli DOC "Compresses assets with brotli")
    mark_as_advanced(PORTHOLE_GZIP PORTHOLE_BROTLI)
    if(arg_COMPRESS STREQUAL "BROTLI" AND NOT PORTHOLE_BROTLI)
        _porthole_refuse("COMPRESS BROTLI needs the program brotli.")
    endif()
    _porthole_write_settings("${out}" "${dir}")
    _porthole_write_table("${out}" "${dir}" ${names})

    set(sources "${out}/${identifier}.cpp")
    foreach(name IN LISTS names)
        string(SHA256 id "${name}")
        string(SUBSTRING "${id}" 0 16 id)
        add_custom_command(
            OUTPUT "${out}/${id}.cpp"
            COMMAND "${CMAKE_COMMAND}" "-DPORTHOLE_SETTINGS=${out}/settings.cmake"
                    "-DPORTHOLE_ASSET=${name}" -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
            DEPENDS "${dir}/${name}" "${out}/settings.cmake" "${CMAKE_CURRENT_FUNCTION_LIST_FILE}"
                    "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/porthole_asset.cpp.in"
            COMMENT "Baking in ${name}"
            VERBATIM)
        list(APPEND sources "${out}/${id}.cpp")
        set_property(DIRECTORY APPEND PROPERTY ADDITIONAL_CLEAN_FILES "${out}/${id}.plain"
                                               "${out}/${id}.gz" "${out}/${id}.br")
    endforeach()
    set_source_files_properties(${sources} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
                                                      SKIP_UNITY_BUILD_INCLUSION ON)
    set(from_disk "$<BOOL:${arg_DEV_FROM_DISK}>")
    if(arg_DEV_FROM_DISK STREQUAL "AUTO")
        set(from_disk "$<CONFIG:Debug>")
    endif()
    set_source_files_properties(
        "${out}/${identifier}.cpp" PROPERTIES COMPILE_DEFINITIONS
                                              "$<${from_disk}:PORTHOLE_ASSETS_FROM_DISK>")
    target_sources("${target}" PRIVATE ${sources})
    target_include_directories("${target}" PUBLIC "$<BUILD_INTERFACE:${out}>")
    target_compile_features("${target}" PRIVATE cxx_std_17)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    return()
endif()

# From here on: one asset, inside the build.

# A gzip file without a time and a name in it (RFC 1952), or nothing when that cannot be had.
function(_porthole_gzip from to)
    set(ENV{SOURCE_DATE_EPOCH} 0) # makes CMake's archiver leave the time out
    file(ARCHIVE_CREATE OUTPUT "${to}" PATHS "${from}" FORMAT raw COMPRESSION GZip
         COMPRESSION_LEVEL 9)
    file(READ "${to}" head LIMIT 8 HEX)
    if(head STREQUAL "1f8b080000000000")
        return()
    endif()
    file(REMOVE "${to}")
    if(gzip)
        execute_process(COMMAND "${gzip}" -n -9 -c "${from}" OUTPUT_FILE "${to}"
                        RESULT_VARIABLE status)
        if(status EQUAL 0)
            return()
        endif()
        file(REMOVE "${to}")
    endif()
    if(compress STREQUAL "GZIP")
        message(FATAL_ERROR "COMPRESS GZIP needs the program gzip here.")
    endif()
endfunction()

function(_porthole_brotli from to)
    execute_process(COMMAND "${brotli}" --quality=11 --lgwin=22 --force "--output=${to}" "${from}"
                    RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${brotli} could not compress ${from}.")
    endif()
endfunction()

# A file as 64-bit words, in pieces, since a whole one of megabytes as one string is slow.
function(_porthole_words path out)
    set(piece_size 65536)
    file(SIZE "${path}" size)
    set(offset 0)
    set(words)
    set(order "\\8\\7\\6\\5\\4\\3\\2\\1")
    if(byte_order STREQUAL "BIG_ENDIAN")
        set(order "\\1\\2\\3\\4\\5\\6\\7\\8")
    endif()
    while(offset LESS size)
        file(READ "${path}" hex OFFSET ${offset} LIMIT ${piece_size} HEX)
        string(LENGTH "${hex}" digits)
        math(EXPR missing "(16 - ${digits} % 16) % 16")
        string(REPEAT "0" ${missing} padding)
        string(REGEX REPLACE "(..)(..)(..)(..)(..)(..)(..)(..)" "0x${order},\n" hex
                             "${hex}${padding}")
        string(APPEND words "${hex}")
        math(EXPR offset "${offset} + ${piece_size}")
    endwhile()
    set(${out} "${words}" PARENT_SCOPE)
endfunction()

# Appends to `blobs` what brings the bytes of a file in, and sets `out` to where they are.
function(_porthole_add_blob path name out)
    set(${out} "nullptr, 0" PARENT_SCOPE)
    if(NOT EXISTS "${path}")
        return()
    endif()
    file(SIZE "${path}" size)
    if(size EQUAL 0)
        return()
    endif()
    if(backend STREQUAL "EMBED")
        set(text "static const unsigned char ${name}[] = {\n#embed \"${path}\"\n};\n")
        string(APPEND text "static_assert(sizeof ${name} == ${size}, \"the file has changed\");\n")
    elseif(backend STREQUAL "INCBIN")
        set(text "PORTHOLE_ASSET_INCBIN(${name}, ${size}, \"${path}\");\n")
    else()
        _porthole_words("${path}" words)
        set(text "static const unsigned long long ${name}[] = {\n${words}};\n")
    endif()
    set(blobs "${blobs}${text}" PARENT_SCOPE)
    set(${out} "${name}, ${size}" PARENT_SCOPE)
endfunction()

function(_porthole_bake)
    string(SHA256 id "${PORTHOLE_ASSET}")
    string(SUBSTRING "${id}" 0 16 id)
    set(copy "${out}/${id}.plain")
    file(REMOVE "${copy}" "${out}/${id}.gz" "${out}/${id}.br")
    # A copy: what is hashed, compressed and baked in is the same, whatever happens to the file.
    configure_file("${dir}/${PORTHOLE_ASSET}" "${copy}" COPYONLY)
    file(SIZE "${copy}" size)
    if(size GREATER max_size)
        message(FATAL_ERROR "${dir}/${PORTHOLE_ASSET} has ${size} bytes, more than MAX_SIZE.")
    endif()
    if(compress MATCHES "^(AUTO|GZIP)$" AND size GREATER 0)
        _porthole_gzip("${copy}" "${out}/${id}.gz")
    endif()
    if(compress MATCHES "^(AUTO|BROTLI)$" AND brotli AND size GREATER 0)
        _porthole_brotli("${copy}" "${out}/${id}.br")
    endif()
    foreach(compressed "${out}/${id}.gz" "${out}/${id}.br")
        if(EXISTS "${compressed}") # worth it when at least a tenth smaller
            file(SIZE "${compressed}" compressed_size)
            math(EXPR ten_times "${compressed_size} * 10")
            math(EXPR nine_times "${size} * 9")
            if(ten_times GREATER nine_times)
                file(REMOVE "${compressed}")
            endif()
        endif()
    endforeach()

    set(symbol "${symbols}_${id}")
    set(blobs)
    _porthole_add_blob("${copy}" "${symbol}_plain" plain)
    _porthole_add_blob("${out}/${id}.gz" "${symbol}_gzip" gzip)
    _porthole_add_blob("${out}/${id}.br" "${symbol}_brotli" brotli)
    file(SHA256 "${copy}" etag)
    string(SUBSTRING "${etag}" 0 32 etag)
    _porthole_literal("${prefix}/${PORTHOLE_ASSET}" path)
    set(caching by_name)
    if(has_immutable)
        set(caching revalidate)
        if("${PORTHOLE_ASSET}" MATCHES "${immutable}")
            set(caching immutable)
        endif()
    endif()
    _porthole_fill(porthole_asset.cpp.in text symbol path etag plain gzip brotli caching blobs)
    file(WRITE "${out}/${id}.cpp" "${text}")
endfunction()

include("${PORTHOLE_SETTINGS}")
_porthole_bake()
